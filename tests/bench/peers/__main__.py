"""`python -m tests.bench.peers`: our runtime and its peers on the same job, events and broker, in interleaved rounds.

GA4 events if the data is beside the project, synthetic ones otherwise, 8 partitions, preloaded. Broker, Redis, sender
and reader share the machine with whoever is measured. Slow peers are given fewer events; the JSON says how many.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.local import topics
from shared.contracts.topics import EVENTS, PROFILE_UPDATES
from tests.bench.machine import machine
from tests.bench.peers import measure
from tests.bench.peers.peers import OURS, available, summary
from tests.bench.runtime.load import Loader, facts
from tests.support.platform import EmbeddedPlatform

_ROOT = Path(__file__).parents[3]
_GA4 = _ROOT.parent / "shared" / "data" / "ga4_merch_store"
_RESULT = _ROOT / "tests" / "bench" / "results" / "peers.json"


def main() -> int:
    options, started = _parser().parse_args(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder,
        EmbeddedPlatform.started(kafka_heap_mb=1024) as embedded,
    ):
        found = asyncio.run(_run(embedded, Path(folder), options))
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.bench.peers", *sys.argv[1:]]),
        "machine": machine(),
        "source": "ga4" if _GA4.is_dir() else "synthetic",
        "took_seconds": round(time.monotonic() - started),
        **found,
    }
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    say(f"written to {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000, help="events preloaded; slow peers read a part of them")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of throughput, each peer once a round")
    parser.add_argument("--peers", nargs="+", help="names of those to run, by default all that can")
    parser.add_argument("--no-latency", action="store_true", help="leave out the latency runs")
    parser.add_argument("--output", type=Path, default=_RESULT, help="where the JSON goes")
    return parser


async def _run(embedded: EmbeddedPlatform, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    peers, missing = available(embedded, folder, say)
    peers = [peer for peer in peers if not options.peers or peer.name in options.peers]
    wanted = max([options.events, *(measure.rows_for_latency(peer) for peer in peers)])
    rows = list(facts(_GA4 if _GA4.is_dir() else None, wanted))
    specs = {f"{measure.LOADED}{topic.name}": topic for topic in (EVENTS, PROFILE_UPDATES)}
    await topics.create(embedded.kafka_bootstrap_servers, specs)
    async with Loader(embedded.kafka_bootstrap_servers, measure.LOADED) as loader:
        loaded = await loader.all(islice(rows, options.events))
    say(f"loaded {loaded:,} events")
    rounds: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
    for number in range(options.rounds):
        for peer in peers:
            load = round(os.getloadavg()[0], 1)
            one = await measure.throughput(peer, embedded, loaded, folder)
            rounds[peer.name].append({"round": number + 1, "load_average": load, **one})
            say(f"{peer.name}: {one}")
    latencies: dict[str, Any] = {}
    for peer in (peer for peer in peers if peer.rates and not options.no_latency):
        load = round(os.getloadavg()[0], 1)
        latencies[peer.name] = {"load_average": load, "rates": await measure.latencies(peer, embedded, rows, folder)}
        say(f"{peer.name}: {latencies[peer.name]}")
    return {
        "peers": summary(peers),
        "left_out": missing,
        "preloaded_events": loaded,
        "throughput": {name: _medians(found) for name, found in rounds.items()},
        "ours_is_times_as_fast": _ratios(rounds, "events_per_second"),
        "ours_uses_times_the_cpu": _ratios(rounds, "cpu_us_per_event"),
        "latency": latencies,
    }


def _medians(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = ("events_per_second", "cpu_us_per_event")
    return {**{name: statistics.median(one[name] for one in found) for name in names}, "rounds": list(found)}


def _ratios(rounds: dict[str, list[dict[str, Any]]], name: str) -> dict[str, float]:
    """Ours divided by each peer's: the median of the ratios within a round."""
    ours = rounds.get(OURS, [])
    return {
        peer: round(statistics.median(mine[name] / its[name] for mine, its in zip(ours, found, strict=True)), 2)
        for peer, found in rounds.items()
        if peer != OURS and ours
    }


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
