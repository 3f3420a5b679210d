"""Waiting on a condition, with a limit: tests never sleep for an outcome."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.05


def wait_until(look: Callable[[], T], what: str, limit_s: float = 30.0) -> T:
    """Calls `look` until it returns something true and returns that; fails naming `what` after `limit_s`."""
    end = time.monotonic() + limit_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {limit_s:g} s; last seen {found!r}"
        time.sleep(_PAUSE_S)


async def eventually(look: Callable[[], Awaitable[T]], what: str, limit_s: float = 30.0) -> T:
    """The same for a coroutine."""
    end = time.monotonic() + limit_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {limit_s:g} s; last seen {found!r}"
        await asyncio.sleep(_PAUSE_S)
