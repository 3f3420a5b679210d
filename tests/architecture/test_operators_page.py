"""The operator's page, `shared/runtime/README.md`, has every exit code, every metric of a stage and every log line."""

import ast
import re
from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from shared.kernel.errors import ExitCode
from shared.runtime.metrics import HealthMetrics, StageMetrics
from tests.architecture.repository import ROOT, python_files, tree_of

PAGE = (ROOT / "shared" / "runtime" / "README.md").read_text()
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def _rows(heading: str) -> str:
    """The tables of one section, without their first lines."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(line for line in section.splitlines() if line.startswith("| "))


def _logged() -> Iterator[str]:
    """What is written to a log: an event's name, or the words before the first value."""
    for path in python_files("shared", "services"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                whose = ast.unparse(node.func.value)
                text = node.args[0] if node.args else None
                if "log" in whose and isinstance(text, ast.Constant):
                    yield str(text.value)


def test_every_exit_code_has_a_row() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", _rows("Exit codes"), re.MULTILINE)}

    assert {code for name, code in vars(ExitCode).items() if name.isupper()} == told


def test_every_metric_of_a_stage_has_a_row() -> None:
    registry = CollectorRegistry()
    HealthMetrics(registry)
    StageMetrics("x", registry)
    rows = _rows("Metrics")

    names = [family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()]
    short = {name.removeprefix("freshet_x_") for name in names if not name.startswith("process_")}

    assert len(short) > 15
    assert [] == sorted(name for name in short if f"`{name}`" not in rows)


def test_every_log_line_has_a_row() -> None:
    rows = re.sub(r"[`*]", "", _rows("Log events"))
    begun = {re.split(r"[:;,(]", text)[0].strip() for text in _logged()}

    assert len(begun) > 30
    assert [] == sorted(text for text in begun if not re.search(re.sub("%[a-z]", ".+", text), rows))
