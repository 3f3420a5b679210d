"""What the architecture tests look at: the repository's files, its services and what its modules import."""

import ast
import importlib
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic_core import PydanticUndefined

from shared.runtime.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services"


def services() -> tuple[str, ...]:
    """Returns the service folders: packages below `services/`."""
    return tuple(sorted(file.parent.name for file in SERVICES.glob("*/__init__.py")))


@cache
def tracked_files() -> tuple[Path, ...]:
    """Returns the files that are or would be in the repository: tracked ones, and new ones that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(path for name in sorted(set(listed)) if name and (path := ROOT / name).is_file())


def python_files(*folders: str) -> Iterator[Path]:
    """Yields the Python files of the repository below `folders`."""
    for path in tracked_files():
        relative = path.relative_to(ROOT)
        if path.suffix == ".py" and any(relative.is_relative_to(folder) for folder in folders):
            yield path


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def settings_of(service: str) -> type[ServiceSettings]:
    """Returns the settings model of a service."""
    found: type[ServiceSettings] = importlib.import_module(f"services.{service}.settings").Settings
    assert issubclass(found, ServiceSettings)
    return found


def default_of(service: str, field: str) -> object:
    """Returns a setting's default; a setting without one fails the test that asks."""
    default = settings_of(service).model_fields[field].default
    assert default is not PydanticUndefined, f"{service}: setting {field} has no default"
    return default


def imported_files(start: Path) -> set[Path]:
    """Returns the files of our own packages that `start` reaches by imports, itself included."""
    reached: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += _imported_from(path)
    return reached


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Returns the dotted names that a file imports; of `from a import b` both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


@cache
def _imported_from(path: Path) -> tuple[Path, ...]:
    return tuple({file for name in imported_names(path) for file in _files_of(name)})


def _files_of(name: str) -> Iterator[Path]:
    """Yields the file of a module of ours and the packages around it, which Python runs first."""
    parts = name.split(".")
    if parts[0] not in ("services", "shared", "deploy"):
        return
    for length in range(1, len(parts) + 1):
        base = ROOT.joinpath(*parts[:length])
        for file in (base / "__init__.py", base.with_suffix(".py")):
            if file.is_file():
                yield file
