"""Runs schedules, one or many; finds the fewest faults that still make one fail; tells the story."""

import gc
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation import invariants, replay, segments
from tests.simulation.feed_host import seams
from tests.simulation.ledger import ledger_stage
from tests.simulation.plan import Plan, plan
from tests.simulation.silence import quietly
from tests.simulation.world import World


@dataclass
class Report:
    """What many schedules have shown."""

    schedules: int = 0
    cpu_s: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        self.schedules += other.schedules
        self.cpu_s += other.cpu_s
        self.seen += other.seen
        self.failures.update(other.failures)

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(self.seen.items()))
        return f"{self.schedules:,} schedules, {self.cpu_s:.1f} s of CPU, {len(self.failures)} failed ({counts})"


def run(drawn: Plan, story: list[str] | None = None) -> World:
    """Runs one schedule and checks it."""
    segmented = drawn.stage == "segmentation"
    world = World(drawn, segments.segmentation_stage() if segmented else ledger_stage(), story)
    world.run()
    if not world.violations:
        (segments if segmented else invariants).check(world)
        if not segmented:
            replay.check(world)
    return world


def run_many(first: int, schedules: int, failures_max: int = 1) -> Report:
    """Runs schedules with the seeds from `first` on, until too many have failed."""
    report, began = Report(), time.process_time()
    gc.collect()
    gc.freeze()
    gc.disable()
    with quietly(), seams():
        for seed in range(first, first + schedules):
            world = run(plan(seed))
            report.schedules += 1
            report.seen += world.seen
            if world.violations:
                report.failures[seed] = world.violations
                if len(report.failures) >= failures_max:
                    break
            _dissolve(world)
            if seed % 500 == 0:
                gc.collect()  # what holds itself in spite of that
    gc.enable()
    gc.unfreeze()
    report.cpu_s = time.process_time() - began
    return report


def _dissolve(world: World) -> None:
    """Cuts the circles of a world that is over: having the collector find them takes a fifth of all time."""
    for host in world.hosts:
        for worker in host.workers.values():
            vars(worker).clear()
        if host.crashed is not None:
            host.crashed.__traceback__ = None
        vars(host).clear()
    for part in (world.loop, world.fences, world.redis, world.network, world.broker, world):
        vars(part).clear()


def shrunk(drawn: Plan) -> Plan:
    """Drops faults, then records, one at a time, while the same invariant still breaks; ticks stay."""
    with quietly(), seams():
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
    with quietly(), seams():
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
