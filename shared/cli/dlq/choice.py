"""Which dead letters a command is about."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from shared.cli.segments.errors import WrongInput
from shared.kernel.errors import Reason
from shared.runtime.admin.letters import Letter

_PLACE = re.compile(r"(\d+):(\d+)")
_RANGE = re.compile(r"(\d+):(\d+)(?:-(\d*))?")


def place_of(text: str) -> tuple[int, int]:
    """Reads `PARTITION:OFFSET`. Raises WrongInput."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise WrongInput(f"{text!r} is not PARTITION:OFFSET, such as 3:1024")
    return int(match[1]), int(match[2])


@dataclass(frozen=True, slots=True)
class Choice:
    """Empty parts take everything. `ranges`: (partition, first, last), both included."""

    reasons: frozenset[str]
    stages: frozenset[str]
    ranges: Sequence[tuple[int, int, int | None]]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        known = {*Reason, "unknown"}
        for reason in options.reason or ():
            if reason not in known:
                raise WrongInput(f"{reason!r} is no reason; there are {', '.join(sorted(known))}")
        ranges = tuple(_range(text) for text in options.offsets or ())
        return cls(frozenset(options.reason or ()), frozenset(options.refused_by or ()), ranges)

    @property
    def takes_all(self) -> bool:
        return not (self.reasons or self.stages or self.ranges)

    def takes(self, letter: Letter) -> bool:
        if self.reasons and letter.reason not in self.reasons:
            return False
        if self.stages and letter.stage not in self.stages:
            return False
        return not self.ranges or any(
            letter.partition == partition and first <= letter.offset and (last is None or letter.offset <= last)
            for partition, first, last in self.ranges
        )


def _range(text: str) -> tuple[int, int, int | None]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise WrongInput(f"{text!r} is not PARTITION:FROM-TO, such as 3:100-199, 3:100- or 3:100")
    first = int(match[2])
    if match[3] is None:
        return int(match[1]), first, first
    return int(match[1]), first, int(match[3]) if match[3] else None
