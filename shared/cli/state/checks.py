"""What can be wrong with a command's options before anything is connected to."""

import argparse
import re
from pathlib import Path

from shared.cli.segments.errors import WrongInput
from shared.runtime.admin.fsnap import SnapshotFile

_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check(options: argparse.Namespace, namespace: str) -> None:
    """Raises WrongInput for names and files that cannot be meant, Fatal for a file that is no whole snapshot.

    `namespace`: the one that the command is about, from its option or the environment.
    """
    to: str | None = getattr(options, "to", None)
    for name in (namespace, to):
        # A brace would change the hash tag that keeps a partition in one slot.
        if name is not None and _NAMESPACE.fullmatch(name) is None:
            raise WrongInput(f"{name!r} is no namespace: use letters, digits, dots, dashes, underscores")
    if to == namespace:
        raise WrongInput(f"--to names {to!r}, which is --namespace itself: name another one")
    for path in (getattr(options, "input", None), getattr(options, "source", None)):
        if path is not None:
            SnapshotFile(readable(path))
    output: Path | None = getattr(options, "output", None)
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        why = "is a folder" if output.is_dir() else f"cannot be made: there is no folder {output.parent}"
        raise WrongInput(f"--output {output} {why}; name a file")


def readable(path: Path) -> Path:
    if not path.is_file():
        raise WrongInput(f"there is no file {path}")
    return path
