"""What a check has looked at and what it found wrong."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

_SHOWN_MAX = 5


@dataclass
class Findings:
    """`checked` and `violations` count by the name of the check; `examples` show the first few violations.

    `lateness`: µs from the instant at which time alone brought a change until it was told.
    """

    checked: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    lateness: list[int] = field(default_factory=list)

    def expect(self, check: str, holds: bool, what: object = "") -> None:
        """Counts one thing looked at; `what` tells where it does not hold."""
        self.checked[check] += 1
        if not holds:
            self.violations[check] += 1
            shown = self.examples.setdefault(check, [])
            if len(shown) < _SHOWN_MAX:
                shown.append(str(what)[:600])

    def equal(self, check: str, expected: object, found: object, where: object) -> None:
        """Counts one comparison."""
        same = expected == found
        self.expect(check, same, "" if same else f"{where}: expected {expected}, found {found}")

    def same_keys(self, check: str, expected: Mapping[Any, object], found: Mapping[Any, object], where: str) -> None:
        """Compares two mappings value by value; a key on one side only is a violation."""
        for key in expected.keys() | found.keys():
            self.equal(check, expected.get(key), found.get(key), f"{where} {_short(key)}")

    def add(self, other: "Findings") -> None:
        self.checked.update(other.checked)
        self.violations.update(other.violations)
        self.lateness += other.lateness
        for check, examples in other.examples.items():
            self.examples[check] = (self.examples.get(check, []) + examples)[:_SHOWN_MAX]


def _short(key: Hashable) -> str:
    return str(key)[:200]
