"""Runs schedules, one or many; finds the fewest faults that still make one fail; tells the story."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from tests.simulation import invariants, segments
from tests.simulation.ledger import ledger_stage
from tests.simulation.plan import Plan, plan
from tests.simulation.world import World


class _Silence:
    """Takes every log line and keeps none."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: self


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps the runtime's log lines out of the way: thousands of schedules fail thousands of times on purpose."""
    silence = _Silence()
    with (
        mock.patch("shared.runtime.fence.get_logger", return_value=silence),
        mock.patch("shared.runtime.stepper.get_logger", return_value=silence),
    ):
        yield


@dataclass
class Report:
    """What many schedules have shown."""

    schedules: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        self.schedules += other.schedules
        self.seen += other.seen
        self.failures.update(other.failures)

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(self.seen.items()))
        return f"{self.schedules:,} schedules, {len(self.failures)} failed ({counts})"


def run(drawn: Plan, story: list[str] | None = None) -> World:
    """Runs one schedule and checks it."""
    segmented = drawn.stage == "segmentation"
    world = World(drawn, segments.segmentation_stage() if segmented else ledger_stage(), story)
    world.run()
    if not world.violations:
        (segments if segmented else invariants).check(world)
    return world


def run_many(first: int, schedules: int, failures_max: int = 1) -> Report:
    """Runs schedules with the seeds from `first` on, until too many have failed."""
    report = Report()
    gc.disable()
    with quietly():
        for seed in range(first, first + schedules):
            if seed % 500 == 0:
                gc.collect()  # worlds are full of circles; walking them after each is a third of the time
            world = run(plan(seed))
            report.schedules += 1
            report.seen += world.seen
            if world.violations:
                report.failures[seed] = world.violations
                if len(report.failures) >= failures_max:
                    break
    gc.enable()
    return report


def shrunk(drawn: Plan) -> Plan:
    """Drops faults, then records, one at a time, while the same invariant still breaks; ticks stay."""
    with quietly():
        broken = _broken(drawn)
        for part in ("faults", "arrivals"):
            index = 0
            while index < len(getattr(drawn, part)):
                items = getattr(drawn, part)
                fewer: Any = {part: items[:index] + items[index + 1 :]}
                smaller = replace(drawn, **fewer)
                if getattr(items[index], "key", b"") is not None and _broken(smaller) & broken:
                    drawn = smaller
                else:
                    index += 1
    return drawn


def _broken(drawn: Plan) -> set[str]:
    return {violation.partition(":")[0] for violation in run(drawn).violations}


def told(drawn: Plan) -> str:
    """The story of a schedule, step by step."""
    story: list[str] = []
    with quietly():
        world = run(drawn, story)
    faults = ", ".join(map(str, drawn.faults)) or "none"
    head = [f"seed {drawn.seed}, stage {drawn.stage}, wall clock {drawn.wall}, {drawn.limits}", f"faults: {faults}"]
    return "\n".join([*head, *story, *world.violations])


def failure_text(drawn: Plan) -> str:
    """What a person needs: the seed, the shortest story, the command."""
    return f"{told(shrunk(drawn))}\nrun it again: {reproduction(drawn.seed)}"


def reproduction(seed: int) -> str:
    """The command that runs a schedule again and tells its story."""
    return f"python -m tests.simulation --seed {seed} --trace"
