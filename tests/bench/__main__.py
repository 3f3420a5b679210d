"""`python -m tests.bench`: measures, prints and writes JSON with machine, date and command.

The system runs with ingestion, segmentation and the profile store; 20 segments; GA4 events if the data is beside the
project, synthetic ones otherwise. Sender and reader share the machine with it. Every figure has its floor beside it:
the same records copied by a bare consumer and producer in the same run.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.demo import setup
from deploy.demo.definitions import load_segments, union_schema
from deploy.local import topics
from deploy.local.settings import LocalSettings
from shared.cli.sources.choose import choose_source
from shared.cli.sources.source import Source, SourceEvent
from shared.contracts.topics import INBOUND
from shared.sdk import Freshet
from tests.bench.baseline import copy
from tests.bench.machine import machine
from tests.bench.measure import Bench
from tests.support.platform import EmbeddedPlatform

_ROOT = Path(__file__).parents[2]
_GA4 = _ROOT.parent / "shared" / "data" / "ga4_merch_store"
_SERVICES = ("ingestion", "segmentation", "profile_store")
_COPY = "bench-copy"
_WARM_UP = 20_000


def main() -> int:
    """Runs all measurements; returns 0."""
    options, started = _parser().parse_args(), time.monotonic()
    source = choose_source(_GA4 if _GA4.is_dir() else None, users=options.events // 10, seed=0)
    _say(f"measuring with {source.name} events; this takes a few minutes")
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.bench", *sys.argv[1:]]),
        "machine": machine(),
        "source": source.name,
    }
    with EmbeddedPlatform.started(_SERVICES, clock="stream") as embedded:
        messages, segments = _prepare(embedded.settings, source)
        report["segments"] = segments
        report |= asyncio.run(_measure(embedded.settings, messages, options))
    report["took_seconds"] = round(time.monotonic() - started)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    _say(f"written to {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="messages of the throughput measurement")
    parser.add_argument(
        "--rates", type=int, nargs="+", default=[500, 2_000, 5_000], help="messages/s of the latency runs"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each latency run")
    parser.add_argument("--output", type=Path, default=_ROOT / ".freshet" / "bench.json", help="where the JSON goes")
    return parser


def _prepare(settings: LocalSettings, source: Source) -> tuple[Iterator[SourceEvent], int]:
    urls = {name: settings.url(name) for name in _SERVICES}
    segments = load_segments(Path(__file__).parent / "segments" / source.name, union_schema(source.name))
    with Freshet.connect(urls) as freshet:
        datasets = setup.register_data(freshet, source.name)
        setup.define_segments(freshet, segments)
        setup.wait_until_ready(freshet)
    return source.read(datasets), len(segments)


async def _measure(settings: LocalSettings, messages: Iterator[SourceEvent], options: argparse.Namespace) -> Any:
    bench = Bench(settings, messages)
    async with bench.started():
        _say("warming up")
        await bench.warm_up(_WARM_UP)
        latencies = []
        for rate in options.rates:
            _say(f"latency at {rate:,} messages/s for {options.seconds:g} s")
            latencies.append(await bench.latency(rate, options.seconds))
        _say(f"throughput over {options.events:,} messages")
        throughput = await bench.throughput(options.events)
    _say("the floor: copying the same records")
    await topics.create(settings.kafka_bootstrap_servers, {_COPY: INBOUND})
    floor = await copy(settings.kafka_bootstrap_servers, INBOUND.name, _COPY)
    return {"throughput": throughput, "acceptance_to_membership_ms": latencies, "floor_copy_loop": floor}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
