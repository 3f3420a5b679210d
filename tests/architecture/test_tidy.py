"""Small rules that keep every file pleasant."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT, python_files, tracked_files, tree_of

_CODE = ("services", "shared", "deploy")
_MODULE_LINES_MAX = 300
_FUNCTION_LINES_MAX = 70
_PURE = ("shared/pql", "shared/merge", "shared/features", "shared/contracts")
# Put together from parts, so that this file does not hold what it forbids.
_HOSTS = tuple(
    f"{name}.{top}" for name, top in (("pypi", "org"), ("pythonhosted", "org"), ("maven", "org"), ("npmjs", "org"))
)
_HOSTS += ("maven." + "apache.org", "docker" + ".io", "ghcr" + ".io", "quay" + ".io")
_MACHINE_PATH = re.compile(r"(?<![\w.}/-])/(?:root|work|home/\w+|Users/\w+|tmp/\w+|mnt/\w+)(?:/[\w.-]+)")
_UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
_BINARY = {".zst", ".parquet", ".onnx", ".gz", ".png", ".ico", ".jar"}


def _shown(path: Path, line: int = 0) -> str:
    name = str(path.relative_to(ROOT))
    return f"{name}:{line}" if line else name


def _texts() -> Iterator[tuple[Path, str]]:
    for path in tracked_files():
        if path.suffix not in _BINARY:
            yield path, path.read_text(encoding="utf-8")


def _findings(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path, text in _texts():
        found += [f"{_shown(path, text.count(chr(10), 0, m.start()) + 1)} {m.group()}" for m in pattern.finditer(text)]
    return found


def test_modules_are_short() -> None:
    long = {
        _shown(p): n
        for p in python_files(*_CODE, "tests")
        if (n := len(p.read_text().splitlines())) > _MODULE_LINES_MAX
    }

    assert long == {}


def test_functions_are_short() -> None:
    long = {
        _shown(path, node.lineno): node.end_lineno - node.lineno + 1
        for path in python_files(*_CODE, "tests")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= _FUNCTION_LINES_MAX
    }

    assert long == {}


def test_every_module_says_what_it_is() -> None:
    silent = [_shown(p) for p in python_files(*_CODE) if tree_of(p).body and ast.get_docstring(tree_of(p)) is None]

    assert silent == []


def test_nothing_is_left_unfinished() -> None:
    assert _findings(_UNFINISHED) == []


def test_services_do_not_print() -> None:
    printing = [
        _shown(path, node.lineno)
        for path in python_files("services", "shared")
        if not path.is_relative_to(ROOT / "shared" / "cli")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert printing == []


def _pure_files() -> Iterator[Path]:
    yield from python_files(*_PURE)
    for path in python_files("services"):
        if "domain" in path.relative_to(ROOT).parts or path.name == "domain.py":
            yield path


def test_what_is_pure_reads_no_clock_and_logs_nothing() -> None:
    clocks = {("datetime", "now"), ("datetime", "utcnow"), ("date", "today"), ("time", "time"), ("time", "time_ns")}
    clocks |= {("time", "monotonic"), ("time", "perf_counter"), ("random", "random")}
    modules = {"logging", "structlog", "asyncio", "socket", "os", "random", "secrets"}
    found = []
    for path in _pure_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in clocks:
                    found.append(f"{_shown(path, node.lineno)} {node.value.id}.{node.attr}")
            elif isinstance(node, ast.Import):
                found += [f"{_shown(path, node.lineno)} {a.name}" for a in node.names if a.name in modules]
            elif isinstance(node, ast.ImportFrom) and node.module in modules:
                found.append(f"{_shown(path, node.lineno)} {node.module}")

    assert found == []


def test_no_file_names_a_package_host() -> None:
    assert _findings(re.compile("|".join(re.escape(host) for host in _HOSTS))) == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert _findings(_MACHINE_PATH) == []


@pytest.mark.parametrize(
    "text", ["cd ~root/project", "'~home/anna/x'", "~Users/anna/x", "--dir=~tmp/run/x", "(~work/main)"]
)
def test_a_machine_path_is_recognised(text: str) -> None:
    # A tilde stands for the leading slash, so that this file passes its own rule.
    assert _MACHINE_PATH.search(text.replace("~", "/"))


@pytest.mark.parametrize(
    "text", ["tmpfs: /tmp:size=64m", "GET /models/tmp/x", "https://host/home/anna/x", "/data/x", "shared~work/x/y"]
)
def test_other_paths_are_not_taken_for_machine_paths(text: str) -> None:
    assert not _MACHINE_PATH.search(text.replace("~", "/"))


def test_names_of_tests_are_sentences() -> None:
    short = [
        f"{_shown(path, node.lineno)} {node.name}"
        for path in python_files("tests")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") < 3
    ]

    assert short == []
