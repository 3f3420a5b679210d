"""Keeps what a process host does to the garbage collector out of the tests that come after."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_kept() -> Iterator[None]:
    """Puts thresholds back and thaws what was frozen, at the end of the block."""
    thresholds = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
