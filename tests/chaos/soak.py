"""`python -m tests.chaos.soak --minutes 60`: all services under a steady load; does anything grow?

Every ten seconds memory, descriptors and tasks of each process are written down; after the warm-up a line is fitted
through each series. Exit code 1 when a process certainly grows faster than `LIMITS` allow, restarted, or had errors.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from shared.sdk import Freshet
from tests.bench.machine import machine
from tests.chaos.sampling import Sample, sample
from tests.chaos.soak_load import FEATURE_SET, FEATURES, MODEL, SEGMENTS, Load
from tests.chaos.trend import trend
from tests.support.models import linear_model, manifest_of
from tests.support.platform import EmbeddedPlatform
from tests.support.waiting import wait_until

SERVICES = (
    "ingestion",
    "segmentation",
    "profile_store",
    "model_registry",
    "training",
    "scoring",
    "edge_inference",
)
LIMITS = {"rss_mib": 6.0, "used_mib": 6.0, "fds": 1.0, "tasks": 1.0, "threads": 1.0}
"""Growth per hour that is still called flat. Fragmentation alone moves a Python heap by a few MiB an hour."""

_NOT_JUDGED = frozenset({"kafka.rss_mib", "kafka.heap_mib"})
"""The JVM lets its heap fill up to its limit before it collects the old generation, which takes longer than an hour at
this load: between two such collections its counters tell nothing of what lives."""

_RESULT = Path(__file__).parent / "results" / "soak.json"
_EVERY_S = 10.0
_CACHED = "100"
_EVENT_SCHEMA = "https://ns.adobe.com/xdm/context/experienceevent"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm-up-minutes", type=float, help="left out of the fit; by default a quarter of the run")
    parser.add_argument("--rate", type=float, default=300.0, help="events per second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=_RESULT)
    options = parser.parse_args(arguments)
    # Caches smaller than the population, so that states are loaded and evicted for the whole hour.
    for service in ("SEGMENTATION", "PROFILE_STORE"):
        os.environ[f"FRESHET_{service}_STATES_CACHED_MAX"] = _CACHED
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.chaos.soak", *(arguments or sys.argv[1:])]),
        "machine": machine(),
        "minutes": options.minutes,
        "events_per_second": options.rate,
    }
    with EmbeddedPlatform.started(SERVICES, log_mb_max=5) as platform:
        samples, load = asyncio.run(_soak(platform, options))
    warm_up_s = 60 * (options.minutes / 4 if options.warm_up_minutes is None else options.warm_up_minutes)
    report |= _verdict(samples, warm_up_s) | {"done": dict(sorted(load.done.items()))}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(json.dumps({key: report[key] for key in ("verdict", "problems", "done")}, indent=1) + "\n")
    return 0 if report["verdict"] == "flat" else 1


async def _soak(platform: EmbeddedPlatform, options: argparse.Namespace) -> tuple[list[tuple[float, Sample]], Load]:
    urls = {name: platform.settings.url(name) for name in SERVICES}
    dataset, connection = await asyncio.to_thread(_prepare, urls)
    load = Load(urls, dataset, connection, options.rate, options.seed)
    samples: list[tuple[float, Sample]] = []
    running = asyncio.create_task(load.run(platform.kafka_bootstrap_servers, options.minutes * 60))
    started = time.monotonic()
    while not running.done():
        taken = await asyncio.to_thread(sample, platform.settings, SERVICES)
        samples.append((time.monotonic() - started, taken))
        sys.stderr.write(f"{samples[-1][0]:.0f} s: {load.done['events']:,} events\n")
        await asyncio.wait({running}, timeout=_EVERY_S)
    await running
    return samples, load


def _prepare(urls: dict[str, str]) -> tuple[str, str]:
    """Registers a dataset and an inlet, defines segments and features, makes a small model the champion."""
    with Freshet.connect(urls) as freshet:
        dataset = freshet.ingestion.register_dataset("soak", _EVENT_SCHEMA)
        connection = freshet.ingestion.register_connection("soak", dataset)
        for name, expression in SEGMENTS.items():
            freshet.segmentation.define(name, expression, segment_id=name)
        feature_set = freshet.segmentation.define_feature_set(FEATURE_SET, FEATURES)
        raw = linear_model((0.01, 0.1, 0.001), -1.0)
        manifest = manifest_of(
            raw,
            model=MODEL,
            feature_set=FEATURE_SET,
            feature_set_hash=feature_set.hash,
            features=tuple(FEATURES),
            defaults=(0.0,) * len(FEATURES),
        )
        files = {"manifest": ("manifest.json", msgspec.json.encode(manifest)), "model": ("model.onnx", raw)}
        answer = httpx.post(f"{urls['model_registry']}/models/{MODEL}/versions", files=files, timeout=60)
        assert answer.is_success, answer.text
        freshet.registry.move(MODEL, answer.json()["version"], 0)
        wait_until(lambda: all(s.ready for s in freshet.segmentation.segments()), "segments are decided by", 60)
        wait_until(lambda: freshet.edge.ready(MODEL), "the edge has the model", 60)
    return dataset, connection


def _verdict(samples: list[tuple[float, Sample]], warm_up_s: float) -> dict[str, Any]:
    """Fits every series after the warm-up; names those that grow and processes that changed."""
    warm = [(at, taken) for at, taken in samples if at >= warm_up_s]
    names = sorted({name for _, taken in warm for name in taken})
    series, problems = {}, []
    for name in names:
        points = [(at, taken[name]) for at, taken in warm if name in taken]
        times, values = [at for at, _ in points], [value for _, value in points]
        quantity = name.rpartition(".")[2]
        if quantity == "pid":
            if len(set(values)) > 1:
                problems.append(f"{name.removesuffix('.pid')} was restarted {len(set(values)) - 1} times")
            continue
        found = trend(times, values)
        limit = None if name in _NOT_JUDGED else LIMITS.get(quantity)
        grows = limit is not None and found.grows(limit)
        series[name] = {
            "first": round(found.first, 2),
            "last": round(found.last, 2),
            "max": round(max(values), 2),
            "per_hour": round(found.per_hour, 2),
            "per_hour_95": [round(found.per_hour - found.half_width, 2), round(found.per_hour + found.half_width, 2)],
            **({} if limit is None else {"limit_per_hour": limit, "grows": grows}),
        }
        if grows:
            problems.append(f"{name} grows by {found.per_hour:.1f} ± {found.half_width:.1f} an hour")
    return {
        "warm_up_seconds": warm_up_s,
        "samples": len(samples),
        "verdict": "grows" if problems else "flat",
        "problems": problems,
        "series": series,
    }


if __name__ == "__main__":
    sys.exit(main())
