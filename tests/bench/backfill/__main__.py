"""`python -m tests.bench.backfill`: what it costs to bring profiles over to new definitions, as JSON.

CPU time of this one process, without Kafka, Redis and their clients: a record passed over (its key is looked at),
a record replayed (decoded and applied to the new histories), a profile seeded and a profile brought over (its state
decoded, changed and encoded, outputs made). `estimate` puts them together for a number of profiles and records.
`live` is the latency of live facts beside a backfill, `rebuild` the speed of `freshet state rebuild`. `--only` picks
parts; those that are not run keep their figures in the output.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.segmentation.domain.bounds import Bounds
from services.segmentation.domain.decide import Tally, step
from services.segmentation.domain.generations import Generation, generation_of
from services.segmentation.domain.passage import Passage
from services.segmentation.domain.replay import Replay
from services.segmentation.domain.state import StateCodec
from services.segmentation.domain.way import Way
from shared.contracts.codec import encode
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.kernel.clock import Micros
from shared.runtime.stage import Batch, Due, Record
from tests.bench.backfill import live, rebuild
from tests.bench.machine import machine
from tests.bench.pql.definitions import Definition, definitions
from tests.bench.pql.workload import Workload, load

_ROOT = Path(__file__).parents[3]
_GA4 = _ROOT.parent / "shared" / "data" / "ga4_merch_store"
_ROWS_AT_ONCE = 1_000
_KEYS_AT_ONCE = 64
_PROFILES, _RECORDS_EACH, _SLICE = 100_000_000, 50, 500_000


def main() -> int:
    """Runs all measurements; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backfill", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000, help="at most this many events")
    parser.add_argument("--live-events", type=int, default=40_000, help="records before the live backfill; 0: none")
    parser.add_argument("--output", type=Path, default=_ROOT / "tests" / "bench" / "results" / "backfill.json")
    parser.add_argument("--rebuild-events", type=int, default=150_000, help="records that the rebuild replays")
    parser.add_argument("--only", default="costs,live,rebuild", help="parts, comma-separated")
    options = parser.parse_args()
    data, parts = _GA4 if _GA4.is_dir() else None, options.only.split(",")
    found: dict[str, Any] = json.loads(options.output.read_text()) if options.output.is_file() else {}
    report = found | {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.bench.backfill", *sys.argv[1:]]),
        "machine": machine(),
    }
    if "costs" in parts:
        report |= _costs(load(data, options.events))
    if "live" in parts and options.live_events:
        report["live"] = live.measure(options.live_events)
    if "rebuild" in parts:
        report["rebuild"] = rebuild.measure(data, options.rebuild_events)
    report |= {
        "load_after": round(os.getloadavg()[0], 2),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


def _costs(workload: Workload) -> dict[str, Any]:
    return {
        "source": workload.source,
        "events": len(workload.events),
        "profiles": len(workload.profiles),
        "runs": [_run(workload, running, added) for running, added in ((20, 1), (20, 20), (500, 1), (500, 20))],
    }


def _run(workload: Workload, running: int, added: int) -> dict[str, Any]:
    wanted = definitions(running + added, workload)
    old = _generation(wanted[:running])
    new = _generation(wanted, old)
    records = _records(workload)
    states = _lived(old, records)
    passage = Passage(Way(old), Bounds(len(states) + 1, _KEYS_AT_ONCE, lambda count: True, lambda: 0), None)
    passage.locate(0, len(records))
    passage.want(new)
    while passage.target is None:
        turn = passage.next_turn(len(records) - 1, Micros(0))
        assert turn is not None
        turn.done()
    passage.next_turn(len(records) - 1, Micros(0))
    result: dict[str, Any] = {"segments": running, "added": added}
    if passage.replay is None:  # the running ones keep all the histories already
        return result | {"replay": False}
    result |= _replayed(passage.replay, records)
    passage.next_turn(len(records) - 1, Micros(0))
    result |= _brought_over(passage, states, records[-1].value.received_at)
    result["history_bytes_median"] = sorted(result.pop("sizes"))[len(states) // 2]
    return result | {"estimate": _estimate(result)}


def _generation(wanted: Sequence[Definition], previous: Generation | None = None) -> Generation:
    segments = [SegmentDefinition(f"s{i}", f"s{i}", one.pql, 1) for i, one in enumerate(wanted)]
    return generation_of(segments, (), previous.definitions if previous else None)


def _records(workload: Workload) -> list[Record[Fact]]:
    """Facts in the order of their log, as read from Kafka."""
    records, now = [], 0
    for offset, (profile, event) in enumerate(workload.events):
        now = max(now, event.occurred_at)
        body = {**event.body, "eventType": event.type}
        fact = Fact(event.id, "event", "t", profile, event.occurred_at, now, "web", body=body)
        records.append(Record(profile, fact, 0, offset, now // 1000, (), encode(fact)))
    return records


def _lived(old: Generation, records: Sequence[Record[Fact]]) -> dict[str, bytes]:
    """Encoded states after all records under the old definitions."""
    codec, states = StateCodec(), dict[str, bytes]()
    for start in range(0, len(records), _ROWS_AT_ONCE):
        some = records[start : start + _ROWS_AT_ONCE]
        held = {r.key: codec.decode(states[r.key]) for r in some if r.key in states}
        effects = step(old.definitions, Tally(), Batch(0, some, (), held))
        states |= {key: codec.encode(state) for key, state in effects.states.items()}
    return states


def _replayed(replay: Replay, records: Sequence[Record[Fact]]) -> dict[str, Any]:
    started = time.process_time()
    for record in records:
        replay.wants(record.key)
    passed = time.process_time()
    replay.begin(0)
    for start in range(0, len(records), _ROWS_AT_ONCE):
        rows = [(r.offset, EVENTS.codec.decode(r.raw)) for r in records[start : start + _ROWS_AT_ONCE]]
        replay.add(rows, start + len(rows))
        replay.advance(len(records), len(rows))
    ended = time.process_time()
    return {
        "us_per_record_passed_over": round((passed - started) / len(records) * 1e6, 2),
        "us_per_record_replayed": round((ended - passed) / len(records) * 1e6, 2),
    }


def _brought_over(passage: Passage, states: dict[str, bytes], now: int) -> dict[str, Any]:
    """Seeds everybody, then brings everybody over, some at a time, through the codec as between Redis and the step."""
    codec, keys, times, sizes, changes = StateCodec(), list(states), [0.0, 0.0], [], 0
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        for part, passage.seeding in enumerate((True, False)):
            started = time.process_time()
            held = {key: codec.decode(states[key]) for key in some}
            batch: Batch[Fact, Any] = Batch(0, (), [Due(key, Micros(now)) for key in some], held)
            effects = step(passage.running.definitions, Tally(), batch, passage)
            states |= {key: codec.encode(state) for key, state in effects.states.items()}
            for output in effects.outputs:
                encode(output.value)
            times[part] += time.process_time() - started
            changes += len(effects.outputs) // 2
            sizes += [len(state.seed.history) for state in effects.states.values() if state.seed]
    return {
        "us_per_profile_seeded": round(times[0] / len(keys) * 1e6, 1),
        "us_per_profile_brought_over": round(times[1] / len(keys) * 1e6, 1),
        "profiles_changed": changes,
        "sizes": sizes,
    }


def _estimate(costs: dict[str, Any]) -> dict[str, Any]:
    """CPU hours for many profiles in 8 partitions. Fetching from Kafka and writing to Redis come on top."""
    records = _PROFILES * _RECORDS_EACH
    slices = -(-_PROFILES // 8 // _SLICE)
    hours = {
        "passing_over": records * (slices - 1) * costs["us_per_record_passed_over"] / 3.6e9,
        "replaying": records * costs["us_per_record_replayed"] / 3.6e9,
        "seeding": _PROFILES * costs["us_per_profile_seeded"] / 3.6e9,
        "bringing_over": _PROFILES * costs["us_per_profile_brought_over"] / 3.6e9,
    }
    return {
        "profiles": _PROFILES,
        "records": records,
        "slices_per_partition": slices,
        "cpu_hours": {name: round(value, 2) for name, value in hours.items()},
        "cpu_hours_in_all": round(sum(hours.values()), 1),
    }


if __name__ == "__main__":
    raise SystemExit(main())
