"""The environment of the Python peers: installed apart, from a lock of its own, so that the project never sees it."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_LOCK = _ROOT / "requirements" / "bench.lock"
_FOLDER = _ROOT / ".freshet" / "bench" / "venv"
_INSTALL_LIMIT_S = 600


class NotInstallableError(Exception):
    """The packages cannot be installed here: the peer is left out."""


def interpreter(report: Callable[[str], None]) -> Path:
    """Returns an interpreter with exactly the locked packages, installing them once. Raises NotInstallableError."""
    stamp, python = _FOLDER / ".installed", _FOLDER / "bin" / "python"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        report(f"installing {_LOCK.name} below {_FOLDER.parent} (once)")
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        _run([sys.executable, "-m", "venv", "--clear", str(_FOLDER)])
        _run([str(python), *install, "-r", str(_LOCK)])
        stamp.write_text(digest)
    return python


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, timeout=_INSTALL_LIMIT_S, capture_output=True, text=True)
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", "") or str(error)
        last = said.strip().splitlines()[-1:]
        raise NotInstallableError(f"the packages of {_LOCK.name} could not be installed: {' '.join(last)}") from error
