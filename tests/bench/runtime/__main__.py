"""`python -m tests.bench.runtime`: the stage runtime's speed on real Kafka and Redis, as JSON.

GA4 events if the data is beside the project, synthetic ones otherwise, on the stream clock. Broker, Redis, sender and
reader share the machine with the workers. `--only` picks parts: bare, segmentation, latency, idle, recovery, rebuild,
deadlines, http. Parts that are not run keep their figures in the output; `measured` says when each was taken, and how.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.bench.machine import machine
from tests.bench.pql.definitions import definitions
from tests.bench.pql.workload import load
from tests.bench.runtime import http_door, measure
from tests.bench.runtime.load import Loader, Row, facts
from tests.bench.runtime.stages import AGGREGATE, RINGING, SEGMENTATION
from tests.bench.runtime.stand import Stand, standing
from tests.bench.runtime.worker import Spec
from tests.support.platform import EmbeddedPlatform

_ROOT = Path(__file__).parents[3]
_GA4 = _ROOT.parent / "shared" / "data" / "ga4_merch_store"
_LIVE = "live-"
_LIVE_SECONDS = 6
_LATENCY = ((AGGREGATE, 0, (10_000,)), (SEGMENTATION, 20, (1_000, 5_000, 10_000)), (SEGMENTATION, 500, (1_000, 5_000)))
"""Stage, segments, events per second offered."""
_DEADLINES = 100_000
_SEGMENTS = (20, 500)
_VALUES_FROM = 20_000


class Bench:
    """One run: a platform, the events and the parts that were asked for."""

    def __init__(self, stand: Stand, options: argparse.Namespace, folder: Path) -> None:
        self.stand = stand
        self.options = options
        self.folder = folder
        self.data = _GA4 if _GA4.is_dir() else None
        self.rows = self._facts()
        workload = load(self.data, _VALUES_FROM)
        self.source = workload.source
        for count in _SEGMENTS:
            texts = [definition.pql for definition in definitions(count, workload)]
            self._segments(count).write_text(json.dumps(texts))
        self._loaded: dict[str, int] = {}

    def _facts(self) -> Iterator[Row]:
        return facts(self.data, 1_000_000)

    def _segments(self, count: int) -> Path:
        return self.folder / f"segments_{count}.json"

    async def load(self, prefix: str, wanted: int) -> int:
        """Fills a topic that throughput is measured from, once, with the source's first events; returns how many."""
        if prefix not in self._loaded:
            await self.stand.make_topics(prefix)
            say(f"loading {wanted:,} events")
            async with Loader(self.stand.platform.kafka_bootstrap_servers, prefix) as loader:
                self._loaded[prefix] = await loader.all(islice(self._facts(), wanted))
        return self._loaded[prefix]

    async def bare(self) -> Any:
        return [await self._throughput(AGGREGATE, workers) for workers in (1, 1, 1, 2)]

    async def segmentation(self) -> Any:
        found = []
        for segments in _SEGMENTS:
            for workers in (1, 2):
                one = await self._throughput(SEGMENTATION, workers, segments=str(self._segments(segments)))
                found.append({"segments": segments, **one})
        return found

    async def rebuild(self) -> Any:
        """From an empty Redis with outputs produced again: the figure of segmentation is the rebuild's."""
        return await self._throughput(SEGMENTATION, 1, segments=str(self._segments(20)))

    async def _throughput(self, kind: str, workers: int, **fields: str) -> dict[str, Any]:
        prefix = f"{kind}-"
        events = await self.load(prefix, self.options.events if kind == AGGREGATE else self.options.decided)
        fields |= {"profile": self.options.profile} if self.options.profile else {}
        found = await measure.throughput(self.stand, kind, prefix, events, workers, **fields)
        say(f"{kind} {fields.get('segments', '')[-8:]} {found}")
        return found

    async def latency(self) -> Any:
        found = []
        for kind, segments, rates in _LATENCY:
            async with self._live(kind, segments) as spec:
                for rate in rates:
                    rows = list(islice(self.rows, rate * _LIVE_SECONDS))
                    one = await measure.latency(self.stand, spec, rows, rate)
                    found.append({"stage": kind, "segments": segments, **one})
                    say(f"{kind} {segments} {one}")
        return found

    async def idle(self) -> Any:
        async with self._live(SEGMENTATION, 20) as spec:
            at_rest = await measure.idle(self.stand, spec, 8.0)
            rows = list(islice(self.rows, 2_000 * _LIVE_SECONDS))
            quiet = await measure.latency(self.stand, spec, rows, 2_000)
        return {"at_rest_cpu_percent": at_rest, "at_2000_per_second": quiet}

    async def recovery(self) -> Any:
        found: dict[str, Any] = {}
        for name, instance in (("dynamic_member", ""), ("static_member", "bench-1")):
            async with self._live(SEGMENTATION, 20, instance=instance) as spec:
                killed = await measure.recovery(self.stand, spec, list(islice(self.rows, 16_000)), 2_000)
                stopped = await measure.handover(self.stand, spec, list(islice(self.rows, 12_000)), 2_000)
            found[name] = {"killed": killed, "stopped": stopped}
            say(f"{name} {found[name]}")
        return found

    async def deadlines(self) -> Any:
        async with self._live(RINGING, 0, clock="wall") as spec:
            return await measure.deadlines(self.stand, spec, _DEADLINES, 2_000)

    async def http(self) -> Any:
        """The services that it starts go on: it is the last part."""
        return await http_door.measure(self.stand.platform, self.folder, self.data)

    def _live(self, kind: str, segments: int, **more: str) -> "_Live":
        more |= {"segments": str(self._segments(segments))} if segments else {}
        run = uuid4().hex[:6]
        self.rows = self._facts()  # each starts from empty states, so that the same events may come again
        return _Live(self.stand, self.stand.spec(kind, f"{_LIVE}{run}-", run, **more), list(islice(self.rows, 2_000)))


class _Live:
    """A worker on a topic of its own that has applied its first events."""

    def __init__(self, stand: Stand, spec: Spec, first: list[Row]) -> None:
        self._stand, self._spec, self._first = stand, spec, first
        self._running = stand.running(spec)

    async def __aenter__(self) -> Spec:
        await self._stand.make_topics(self._spec.prefix)
        self._running.__enter__()
        async with Loader(self._spec.bootstrap_servers, self._spec.prefix) as loader:
            await loader.all(iter(self._first))
        await self._stand.until(self._spec, len(self._first))
        return self._spec

    async def __aexit__(self, *error: Any) -> None:
        await asyncio.to_thread(self._running.__exit__, *error)


PARTS: dict[str, Callable[[Bench], Awaitable[Any]]] = {
    "bare": Bench.bare,
    "segmentation": Bench.segmentation,
    "latency": Bench.latency,
    "idle": Bench.idle,
    "recovery": Bench.recovery,
    "rebuild": Bench.rebuild,
    "deadlines": Bench.deadlines,
    "http": Bench.http,
}


def main() -> int:
    """Runs the parts asked for; returns 0."""
    options = _parser().parse_args()
    report: dict[str, Any] = json.loads(options.output.read_text()) if options.output.exists() else {}
    report |= {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.bench.runtime", *sys.argv[1:]]),
        "machine": machine(),
        "measured": report.get("measured", {}),
    }
    with EmbeddedPlatform.started() as platform, tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(platform, options, Path(folder), report))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


async def _measure(
    platform: EmbeddedPlatform, options: argparse.Namespace, folder: Path, report: dict[str, Any]
) -> None:
    async with standing(platform) as stand:
        bench = Bench(stand, options, folder)
        report["source"] = bench.source
        for name in (name for name in PARTS if name in options.only):
            say(f"measuring {name}")
            load = round(os.getloadavg()[0], 2)
            report[name] = await PARTS[name](bench)
            report["measured"][name] = {"date": report["date"], "command": report["command"], "load_before": load}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.runtime", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help="parts, by commas")
    parser.add_argument("--events", type=int, default=300_000, help="events of the bare stage's preloaded topic")
    parser.add_argument("--decided", type=int, default=120_000, help="events that segmentation decides on")
    parser.add_argument("--profile", default="", help="where the first worker writes cProfile's figures")
    default = _ROOT / "tests" / "bench" / "results" / "runtime.json"
    parser.add_argument("--output", type=Path, default=default, help="where the JSON goes")
    return parser


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
