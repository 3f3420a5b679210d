"""One chaos run: start everything, send under faults, let it come to rest, check."""

import asyncio
import json
import re
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import psutil

from deploy.demo.pipeline import Pipeline, Quiet
from deploy.local import processes
from deploy.local import topics as kafka_topics
from shared.contracts.topics import KEYED_PARTITIONS, physical_topics
from shared.kernel.errors import ExitCode
from shared.sdk import Freshet
from tests.chaos.checker import Job, check_partition
from tests.chaos.crew import Crew, crew_at, tail
from tests.chaos.faults import FAULTS, THIRD, Scene, order
from tests.chaos.findings import Findings
from tests.chaos.segments import FEATURE_SET, FEATURES, SEGMENTS
from tests.chaos.sending import Sender
from tests.chaos.watch import Watch
from tests.chaos.workload import END, Datasets, Workload
from tests.support.platform import end_abandoned, free_ports
from tests.support.waiting import eventually, wait_until

_GROUPS = frozenset({"ingestion", "segmentation", "profile_store"})
_EVENT_SCHEMA = "https://ns.adobe.com/xdm/context/experienceevent"
_PROFILE_SCHEMA = "https://ns.adobe.com/xdm/context/profile"
_LAG_MAX = 30_000
_RECOVERY_LIMIT_S = 120.0
_REST_LIMIT_S = 240.0
_AWAKE_S = 2.0
"""A process that was paused gets this long to find out that it has lost its partitions."""
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
    """`send_s`: seconds the sending takes at the planned rate. `faults`: names; repeated in a new order while events
    are being sent if `again`."""

    seed: int
    events: int
    people: int
    send_s: float
    faults: tuple[str, ...]
    again: bool


@dataclass
class Outcome:
    """What happened. `recoveries`: seconds by fault; `unrecovered`: faults after which something stood still."""

    findings: Findings = field(default_factory=Findings)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    unrecovered: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    endings: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

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
    await kafka_topics.create(crew.settings.kafka_bootstrap_servers, physical_topics())
    scene = Scene(crew, watch, Random(plan.seed), free_ports(1)[0], outcome.notes)
    datasets, feature_hash = await _workers(scene)
    say(f"running after {time.monotonic() - started:.0f} s")
    workload = Workload(plan.seed, plan.events, plan.people, datasets)
    sender = Sender(crew.settings.kafka_bootstrap_servers)
    sent = asyncio.Event()
    faults = asyncio.create_task(_faults(plan, scene, outcome, sent, say))
    began = time.monotonic()
    room = _Room(watch, sender)
    await sender.send(workload.read(), plan.events / plan.send_s, room.wait)
    outcome.figures["sending_seconds"] = round(time.monotonic() - began, 1)
    sent.set()
    await faults
    await _rest(crew, say)
    await sender.tick(END)
    await _rest(crew, say)
    await sender.stop()
    outcome.figures["applied_seconds"] = round(time.monotonic() - began, 1)
    checking = time.monotonic()
    await _check(crew, sender, feature_hash, outcome)
    _tell(plan, crew, sender, outcome)
    outcome.figures["check_seconds"] = round(time.monotonic() - checking, 1)
    outcome.figures["seconds"] = round(time.monotonic() - started, 1)
    return outcome


def _tell(plan: Plan, crew: Crew, sender: Sender, outcome: Outcome) -> None:
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
        "reasons": _reasons(crew),
    }


def _reasons(crew: Crew) -> dict[str, int]:
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


async def _workers(scene: Scene) -> tuple[Datasets, str]:
    """Adds the workers, defines segments and features, waits until both workers decide by them."""
    crew, settings = scene.crew, scene.crew.settings
    second = free_ports(1)[0]
    crew.add("ingestion", "ingestion", settings.ingestion_port)
    await crew.ready(settings.ingestion_port)
    crew.add("segmentation-1", "segmentation", settings.segmentation_port)
    crew.add("segmentation-2", "segmentation", second)
    crew.add("profile_store", "profile_store", settings.profile_store_port)
    crew.add(THIRD, "segmentation", scene.third_port)
    crew.members[THIRD].wanted = False
    for port in (settings.segmentation_port, second, settings.profile_store_port):
        await crew.ready(port)
    return await asyncio.to_thread(_define, crew)


def _define(crew: Crew) -> tuple[Datasets, str]:
    urls = {name: crew.settings.url(name) for name in ("ingestion", "segmentation", "profile_store")}
    with Freshet.connect(urls) as freshet:
        datasets = Datasets(
            freshet.ingestion.register_dataset("chaos-events", _EVENT_SCHEMA),
            freshet.ingestion.register_dataset("chaos-profiles", _PROFILE_SCHEMA),
        )
        for segment in SEGMENTS:
            freshet.segmentation.define(segment.id, segment.text, segment_id=segment.id)
        feature_set = freshet.segmentation.define_feature_set(FEATURE_SET, FEATURES)
        wait_until(lambda: all(s.ready for s in freshet.segmentation.segments()), "segments are decided by")
        wait_until(lambda: freshet.segmentation.feature_set(FEATURE_SET).ready, "the features are computed")
    _started_anew(crew)
    return datasets, feature_set.hash


def _started_anew(crew: Crew) -> None:
    """Restarts the second worker: only the one that was asked says that it decides by the definitions."""
    member = crew.members["segmentation-2"]
    starts = member.starts
    if member.pid:
        psutil.Process(member.pid).kill()
    wait_until(lambda: member.starts > starts and member.pid, "the second worker started again")


@dataclass
class _Room:
    """Holds the sender while more records wait than a few seconds' work."""

    watch: Watch
    sender: Sender
    _looked_at: float = 0.0
    _applied: int = 0

    async def wait(self) -> None:
        while True:
            if time.monotonic() - self._looked_at > 0.5 or self.sender.records - self._applied > _LAG_MAX:
                applied = await asyncio.to_thread(self.watch.applied)
                self._applied = self._applied if applied is None else applied
                self._looked_at = time.monotonic()
            if self.sender.records - self._applied <= _LAG_MAX:
                return
            await asyncio.sleep(0.2)


async def _faults(plan: Plan, scene: Scene, outcome: Outcome, sent: asyncio.Event, say: Any) -> None:
    """One fault after the other, each after the recovery from the one before, until everything has been sent."""
    await scene.watch.until_passed(await scene.watch.targets(), _RECOVERY_LIMIT_S, sent)
    names: Sequence[str] = order(plan.faults, scene.random)
    while not sent.is_set():
        for name in names:
            if sent.is_set() and plan.again:
                return
            targets = await scene.watch.targets()
            at = time.monotonic()
            await FAULTS[name](scene)
            over = time.monotonic()
            recovered = await scene.watch.until_passed(targets, _RECOVERY_LIMIT_S, sent)
            took = time.monotonic() - (at if name.startswith(("kill", "lose", "cut")) else over)
            outcome.recoveries[name].append(took)
            say(f"{name}: {'recovered' if recovered else 'NOT RECOVERED'} after {took:.1f} s")
            if not recovered:
                outcome.unrecovered.append(name)
                _say_logs(scene.crew, say)
                return
            await asyncio.sleep(_AWAKE_S if name.startswith("pause") else scene.random.uniform(0.2, 1.0))
            if name.startswith("pause"):
                fenced = [one for one in scene.crew.endings if one.at_s >= at and one.code == ExitCode.FENCED]
                scene.note("zombies refused after a pause", len(fenced))
        if not plan.again:
            return
        names = order(tuple(name for name in plan.faults if name != "lose redis"), scene.random)


def _say_logs(crew: Crew, say: Any) -> None:
    """Shows how the logs of all members end: what stands still says why, or says nothing."""
    for name in crew.members:
        say("\n".join([f"--- {name}", *(line[:600] for line in tail(crew.layout.log(name), 12))]))


async def _rest(crew: Crew, say: Any) -> None:
    """Waits until every stage has read all there is."""
    pipeline, quiet = Pipeline(crew.settings.kafka_bootstrap_servers), Quiet(_GROUPS)
    await pipeline.start()
    try:

        async def look() -> bool:
            found = await pipeline.look()
            return found is not None and quiet.note(found)

        await eventually(look, "the pipeline at rest", _REST_LIMIT_S)
    except AssertionError:
        _say_logs(crew, say)
        raise
    finally:
        await pipeline.stop()


async def _check(crew: Crew, sender: Sender, feature_hash: str, outcome: Outcome) -> None:
    jobs = [
        Job(
            crew.settings.kafka_bootstrap_servers,
            crew.inner.redis_port,
            partition,
            tuple(sender.acked.get(partition, ())),
            frozenset((topic, value) for topic, p, value in sender.poison if p == partition),
            feature_hash,
        )
        for partition in range(KEYED_PARTITIONS)
    ]
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for findings in await asyncio.gather(*(loop.run_in_executor(pool, check_partition, job) for job in jobs)):
            outcome.findings.add(findings)
