"""One chaos run: start everything, send under faults, let it come to rest, check, lose everything, check again."""

import asyncio
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from deploy.local import processes
from deploy.local import topics as kafka_topics
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import KEYED_PARTITIONS, physical_topics
from shared.kernel.errors import ExitCode
from shared.kernel.ids import profile_id
from tests.chaos.checker import check_partition
from tests.chaos.crew import MAIN, WALL, Crew, crew_at, tail
from tests.chaos.faults import FAULTS, Scene, order
from tests.chaos.outcome import Outcome, Plan, tell
from tests.chaos.reading import Job
from tests.chaos.rest import at_rest
from tests.chaos.restoring import copy_under_faults, lose_and_restore
from tests.chaos.sending import Sender
from tests.chaos.start import Started, start_workers
from tests.chaos.wall_load import WallLoad, person
from tests.chaos.watch import Lag, Watch
from tests.chaos.workload import END, NAMESPACE, TENANT, Workload
from tests.support.platform import end_abandoned

_LAG_MAX = 30_000
_RECOVERY_LIMIT_S = 180.0
_WALL_RATE = 30.0
_CALM_SENDING_S = 8.0
_COPIED_SHARE = 2 / 3
_AWAKE_S = 2.0
"""A process that was paused gets this long to find out that it has lost its partitions."""
_CALM_US = 3_000_000
"""What a fault has delayed is told at the latest this long after the recovery."""


async def run(plan: Plan, say: Any) -> Outcome:
    """Runs and checks. Leaves no process and no file behind."""
    end_abandoned()
    home = Path(tempfile.mkdtemp(prefix="freshet-chaos-"))
    crew = crew_at(home)
    try:
        return await _run(plan, crew, say)
    finally:
        await crew.stop()
        processes.end(processes.owned_by(crew.inner.home), timeout_s=2)
        shutil.rmtree(home, ignore_errors=True)


async def _run(plan: Plan, crew: Crew, say: Any) -> Outcome:
    started = time.monotonic()
    outcome, watch = Outcome(), Watch(crew)
    await crew.start()
    await kafka_topics.create(crew.settings.kafka_bootstrap_servers, physical_topics() | physical_topics(WALL.prefix))
    begun = await start_workers(crew)
    scene = Scene(crew, watch, Random(plan.seed), begun.third_port, outcome.notes)
    say(f"running after {time.monotonic() - started:.0f} s")
    sender = Sender(crew.settings.kafka_bootstrap_servers)
    wall = WallLoad(begun.wall, _WALL_RATE, plan.seed)
    began = time.monotonic()
    over_http = asyncio.create_task(wall.run())
    copy = await _send(plan, scene, begun, sender, outcome, say)
    await at_rest(crew, say, (MAIN,))
    await sender.tick(END)
    await at_rest(crew, say, (MAIN,))
    await sender.stop()
    # However close the faults came, this much is told while nothing is broken.
    await asyncio.sleep(max(0.0, (outcome.troubled[-1][1] - time.time_ns() // 1000) / 1e6 + _CALM_SENDING_S))
    outcome.load_when_calm = os.getloadavg()[0] / (os.cpu_count() or 1)
    wall.stop()
    await over_http
    await at_rest(crew, say)
    outcome.figures["applied_seconds"] = round(time.monotonic() - began, 1)
    checking = time.monotonic()
    await _check(_jobs(crew, sender, wall, begun.feature_hash, outcome), outcome)
    outcome.figures["check_seconds"] = round(time.monotonic() - checking, 1)
    say(f"checked in {time.monotonic() - checking:.0f} s: {outcome.findings.violations.total()} violations")
    losing = time.monotonic()
    try:
        await lose_and_restore(scene, copy, outcome, say)
    except AssertionError as error:  # what was found before is worth its minutes all the same
        outcome.findings.expect("I8 rebuild, copy and replay come to their end", False, error)
    await watch.stop()
    outcome.figures["restore_seconds"] = round(time.monotonic() - losing, 1)
    tell(plan, crew, sender, outcome)
    outcome.figures["over_http"] = {
        "answered_2xx": len(wall.accepted),
        "not_answered": len(wall.unanswered),
        "requests": dict(sorted(wall.done.items())),
    }
    outcome.figures["seconds"] = round(time.monotonic() - started, 1)
    return outcome


async def _send(plan: Plan, scene: Scene, begun: Started, sender: Sender, outcome: Outcome, say: Any) -> Path:
    """Sends everything over Kafka while faults happen; returns a copy of the state that was made meanwhile."""
    workload = Workload(plan.seed, plan.events, plan.people, begun.datasets)
    sent, lag = asyncio.Event(), Lag(scene.crew, _LAG_MAX)
    began = time.monotonic()
    following = asyncio.create_task(lag.follow())
    faults = asyncio.create_task(_faults(plan, scene, outcome, sent, say))
    copying = asyncio.create_task(_copy_late(plan, scene, sender, say))
    await sender.send(workload.read(), plan.events / plan.send_s, lag.room.wait)
    outcome.figures["sending_seconds"] = round(time.monotonic() - began, 1)
    sent.set()
    await faults
    following.cancel()
    await asyncio.wait([following])
    return await copying


async def _copy_late(plan: Plan, scene: Scene, sender: Sender, say: Any) -> Path:
    """Copies when two thirds have been sent, so that a rebuild from the copy has something left to do."""
    while sender.records < plan.events * _COPIED_SHARE:  # noqa: ASYNC110 - a count has no event to wait for
        await asyncio.sleep(0.5)
    return await copy_under_faults(scene.crew, say)


async def _faults(plan: Plan, scene: Scene, outcome: Outcome, sent: asyncio.Event, say: Any) -> None:
    """One fault after the other, each after the recovery from the one before."""
    until = time.monotonic() + plan.send_s
    began_us = time.time_ns() // 1000
    await scene.watch.until_passed(await scene.watch.targets(), _RECOVERY_LIMIT_S, sent)
    outcome.troubled.append((began_us, time.time_ns() // 1000 + _CALM_US))
    names: Sequence[str] = order(plan.faults, scene.random)
    while not sent.is_set():
        for name in names:
            if sent.is_set() and plan.again:
                return
            if not await _fault(name, scene, outcome, sent, say):
                return
            if time.monotonic() >= until and set(plan.faults) <= outcome.recoveries.keys():
                return
        if not plan.again:
            return
        names = order(tuple(name for name in plan.faults if name != "lose redis"), scene.random)


async def _fault(name: str, scene: Scene, outcome: Outcome, sent: asyncio.Event, say: Any) -> bool:
    """Lets one fault happen and waits for the recovery; False when something still stood still at the limit."""
    began_us = time.time_ns() // 1000
    targets = await scene.watch.targets()
    at = time.monotonic()
    await FAULTS[name](scene)
    over = time.monotonic()
    recovered = await scene.watch.until_passed(targets, _RECOVERY_LIMIT_S, sent)
    took = time.monotonic() - (at if name.startswith(("kill", "lose", "cut")) else over)
    outcome.recoveries[name].append(took)
    outcome.troubled.append((began_us, time.time_ns() // 1000 + _CALM_US))
    say(f"{name}: {'recovered' if recovered else 'NOT RECOVERED'} after {took:.1f} s")
    if not recovered:
        outcome.unrecovered.append(name)
        for member in scene.crew.members:
            say("\n".join([f"--- {member}", *(line[:600] for line in tail(scene.crew.layout.log(member), 12))]))
        return False
    await asyncio.sleep(_AWAKE_S if name.startswith("pause") else scene.random.uniform(0.2, 1.0))
    if name.startswith("pause"):
        fenced = [one for one in scene.crew.endings if one.at_s >= at and one.code == ExitCode.FENCED]
        scene.note("zombies refused after a pause", len(fenced))
    return True


def _jobs(crew: Crew, sender: Sender, wall: WallLoad, feature_hash: str, outcome: Outcome) -> list[Job]:
    servers, redis_port = crew.settings.kafka_bootstrap_servers, crew.inner.redis_port
    poison: defaultdict[int, set[tuple[str, bytes]]] = defaultdict(set)
    for topic, partition, value in sender.poison:
        poison[partition].add((topic, value))
    accepted, unanswered = _by_partition(wall.accepted), _by_partition(wall.unanswered)
    troubled = tuple(outcome.troubled)
    jobs = [
        Job(servers, redis_port, p, MAIN, tuple(sender.acked.get(p, ())), frozenset(poison[p]), feature_hash)
        for p in range(KEYED_PARTITIONS)
    ]
    return jobs + [
        Job(servers, redis_port, p, WALL, tuple(accepted[p]), unanswered=frozenset(unanswered[p]), troubled=troubled)
        for p in range(KEYED_PARTITIONS)
    ]


def _by_partition(ids: set[str]) -> defaultdict[int, list[str]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    for id_ in ids:
        found[partition_of(profile_id(TENANT, NAMESPACE, person(id_)), KEYED_PARTITIONS)].append(id_)
    return found


async def _check(jobs: Sequence[Job], outcome: Outcome) -> None:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for findings in await asyncio.gather(*(loop.run_in_executor(pool, check_partition, job) for job in jobs)):
            outcome.findings.add(findings)
    outcome.judge_lateness()
