"""Every form of the language with a condition that holds and one that does not; `--write` makes COVERAGE.md of it.

All are judged for one profile, on 29 February 2024 at noon UTC (a Thursday), by `test_coverage.py`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.shared.pql.cases import Happening
from tests.unit.shared.pql.coverage_forms import LANGUAGE
from tests.unit.shared.pql.coverage_history import HISTORY
from tests.unit.shared.pql.coverage_time import TIME

TABLE = Path(__file__).parents[4] / "shared/pql/COVERAGE.md"
FILES = "`test_coverage.py::test_a_form_means_what_its_examples_say`"

PROFILE: dict[str, Any] = {
    "name": "Ana",
    "mail": "ana@acme.org",
    "age": 30,
    "visits": 20,
    "flag": True,
    "tier": "gold",
    "joined": "2023-03-01T08:00:00Z",
    "seen": "2024-02-26T12:00:00Z",
    "renews": "2024-03-03T12:00:00Z",
    "late": "2024-02-28T23:30:00Z",
    "tags": ["run", "yoga", "run"],
    "orders": [{"total": 5, "shop": "n"}, {"total": 15, "shop": "s"}, {"total": 10, "shop": "n"}],
    "prefs": {"mail": "y", "phone": "n"},
    "geo": {"lat": 52.52, "lon": 13.4},
    "xdm:name": "odd",
    "_acme": {"score": 0.5},
}
EVENTS: list[Happening] = [
    ("2024-01-10T09:00:00Z", "buy", {"total": 10, "items": [{"sku": "A", "qty": 1}]}),
    ("2024-02-29T09:00:00Z", "view", {"page": "home", "total": 0}),
    ("2024-02-29T09:20:00Z", "cart", {"items": [{"sku": "Z9", "qty": 4}, {"sku": "A", "qty": 1}]}),
    ("2024-02-29T11:00:00Z", "buy", {"total": 30, "items": [{"sku": "Z9", "qty": 4}], "ok": True}),
    ("2024-03-01T12:00:00Z", "view", {"page": "future"}),
]


@dataclass(frozen=True)
class Form:
    """A form of the language: where it is told, its name, a condition that holds and one that does not."""

    section: str
    name: str
    holds: str
    fails: str


FORMS = tuple(Form(*row) for row in (*LANGUAGE, *TIME, *HISTORY))


def table() -> str:
    """The forms as a Markdown table."""
    lines = [
        "# Coverage of the language",
        "",
        "Every function and form, each with a condition that holds and one that does not for the profile of",
        "`tests/unit/shared/pql/coverage.py`. Engine and naive evaluator judge both in",
        f"{FILES}; a function, operator, unit or form of the grammar without a row fails that file.",
        "The 42 examples of the reference are judged there too; decisions are tested by number in `test_decisions.py`.",
        "",
        "Made by `python -m tests.unit.shared.pql.coverage --write`.",
    ]
    section = ""
    for form in FORMS:
        if form.section != section:
            section = form.section
            lines += ["", f"## {section}", "", "| Form | Holds | Does not |", "|---|---|---|"]
        cells = (form.name, f"`` {form.holds} ``", f"`` {form.fails} ``")
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        TABLE.write_text(table())
    else:
        sys.stdout.write(table())
