"""What a chaos run was asked to do and what came of it."""

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from shared.kernel.errors import ExitCode
from tests.chaos.crew import Crew
from tests.chaos.findings import Findings
from tests.chaos.moves import LATE_US
from tests.chaos.sending import Sender

_LOAD_MAX = 4.0
_NUMBERS = re.compile(r"\d+")
_MEANING = {
    ExitCode.FENCED: "70 fenced",
    ExitCode.GAP: "71 gap",
    ExitCode.STALLED: "73 stalled",
    ExitCode.RETRY: "75 retry",
    -9: "killed",
    0: "stopped",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`send_s`: seconds the sending takes at the planned rate. `faults`: names, each once; if `again`, repeated in a
    new order until the planned seconds are over, and what faults have held up is sent in peace."""

    seed: int
    events: int
    people: int
    send_s: float
    faults: tuple[str, ...]
    again: bool


@dataclass
class Outcome:
    """What happened. `recoveries`: seconds by fault; `unrecovered`: faults after which something stood still;
    `troubled`: spans (µs) in which something was broken. `load_when_calm`: processes that wanted a processor then, per
    processor."""

    findings: Findings = field(default_factory=Findings)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    unrecovered: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    endings: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    troubled: list[tuple[int, int]] = field(default_factory=list)
    load_when_calm: float = 0.0

    def judge_lateness(self) -> None:
        """Changes by time alone are told within a second (p99) of their instant while nothing is broken."""
        late = sorted(self.findings.lateness)
        if not late:
            return
        quantile = {name: late[int(share * (len(late) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99))}
        quantile["max"] = late[-1]
        self.figures["load_when_calm"] = round(self.load_when_calm, 1)
        self.figures["told_after_their_instant_ms"] = {name: round(us / 1000, 1) for name, us in quantile.items()}
        if self.load_when_calm > _LOAD_MAX:
            # Where others keep the processors busy, a second says nothing about this system.
            self.findings.checked["changes by time alone, not judged on a machine this busy"] += len(late)
            return
        what = f"p99 is {quantile['p99'] / 1000:.0f} ms"
        self.findings.expect("changes by time alone are told in time", quantile["p99"] <= LATE_US, what)
        self.findings.checked["changes by time alone are told in time"] += len(late) - 1

    def report(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "faults": {name: len(times) for name, times in sorted(self.recoveries.items())},
            "recovery_seconds": {
                name: {"p50": round(median(times), 2), "max": round(max(times), 2)}
                for name, times in sorted(self.recoveries.items())
            },
            "not_recovered": self.unrecovered,
            "happened": dict(sorted(self.notes.items())),
            "endings": dict(sorted(self.endings.items())),
            **self.figures,
            "checked": dict(sorted(self.findings.checked.items())),
            "violations": dict(sorted(self.findings.violations.items())),
            "examples": self.findings.examples,
        }


def tell(plan: Plan, crew: Crew, sender: Sender, outcome: Outcome) -> None:
    endings: defaultdict[str, int] = defaultdict(int)
    for ending in crew.endings:
        endings[f"{ending.name}: {_MEANING.get(ending.code, ending.code)}"] += 1
    outcome.endings = dict(endings)
    outcome.figures |= {
        "events": sender.records,
        "people": plan.people,
        "refused_writers": sum(ending.code == ExitCode.FENCED for ending in crew.endings),
        "gaps_noticed": sum(ending.code == ExitCode.GAP for ending in crew.endings),
        "sender_retries": sender.retried,
        "reasons": reasons(crew),
    }


def reasons(crew: Crew) -> dict[str, int]:
    """Why processes ended themselves, from their logs, as often as each was said."""
    found: Counter[str] = Counter()
    for name in crew.members:
        log = crew.layout.log(name)
        for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
            if line.startswith("{") and '"level": "error"' in line and ('"fatal"' in line or '"crashed"' in line):
                said = json.loads(line)
                words = said.get("error") or str(said.get("exception", "")).strip().rpartition("\n")[2]
                found[_NUMBERS.sub("#", f"{name}: {words}")[:200]] += 1
    return dict(found.most_common(40))
