"""`python -m tests.bench.runtime.offline`: where segmentation's CPU goes, in one process, without Kafka or Redis.

The same facts and segments as in `python -m tests.bench.runtime --only segmentation`, through the same pure parts in
the order in which `PartitionWorker` calls them, each with its CPU time per event, the least of `--runs`. What the
network costs is left out: fetching, the producer's checksums and acknowledgements, Redis. `--rows` is the micro-batch.
"""

import argparse
import gc
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from aiokafka import ConsumerRecord
from hiredis import pack_command
from prometheus_client import CollectorRegistry

from services.segmentation.domain.applying import apply_fact
from services.segmentation.domain.decide import Tally, step
from services.segmentation.domain.definitions import Definitions, compile_definitions
from services.segmentation.domain.state import State, StateCodec, new_state
from services.segmentation.stream import stage
from shared import pql
from shared.adapters.kafka import Producer
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.runtime.context import Context, Limits
from shared.runtime.metrics import StageMetrics
from shared.runtime.stage import Batch, Record
from shared.runtime.state import frame
from shared.runtime.stepper import decode
from tests.bench.pql.definitions import definitions
from tests.bench.pql.workload import load
from tests.bench.runtime.load import Row, facts

_GA4 = Path(__file__).parents[4] / "shared" / "data" / "ga4_merch_store"
_VALUES_FROM = 20_000


@dataclass(slots=True)
class Parts:
    """CPU seconds by part, and what went through."""

    seconds: defaultdict[str, float]
    counts: Counter[str]

    def row(self, segments: int) -> dict[str, Any]:
        """Per event: µs of each part and of all that a worker does, records, transitions and bytes."""
        events = self.counts["events"]
        parts = {name: round(spent * 1e6 / events, 2) for name, spent in self.seconds.items()}
        counted = {name: round(count / events, 2) for name, count in self.counts.items() if name != "events"}
        return {
            "segments": segments,
            "events": events,
            "cpu_us_per_event": round(sum(parts[name] for name in _PARTS), 1),
            "parts_us_per_event": parts,
            "per_event": counted,
        }

    def least(self, other: "Parts") -> "Parts":
        """The lesser time of each part of two runs: whatever else the machine does only adds."""
        lesser = {name: min(spent, other.seconds[name]) for name, spent in self.seconds.items()}
        return Parts(defaultdict(float, lesser), self.counts)


def batches(rows: Iterator[Row], size: int) -> Iterator[tuple[int, list[ConsumerRecord]]]:
    """The records of each partition in runs of `size`, as aiokafka hands them over."""
    waiting: defaultdict[int, list[ConsumerRecord]] = defaultdict(list)
    offsets: Counter[int] = Counter()
    for partition, key, value in rows:
        offset = offsets[partition]
        offsets[partition] += 1
        sizes = len(key), len(value)
        waiting[partition].append(
            ConsumerRecord("events", partition, offset, 1_700_000_000_000, 0, key, value, None, *sizes, ())
        )
        if len(waiting[partition]) == size:
            yield partition, waiting.pop(partition)
    yield from waiting.items()


def measure(held: Definitions, rows: Sequence[Row], size: int) -> Parts:
    """Steps all rows once; states begin empty and stay decoded, as in a worker whose cache holds all profiles."""
    segmentation = stage(lambda: held)
    metrics = StageMetrics("offline", CollectorRegistry())
    context = Context(segmentation, Producer(""), metrics, Limits(), "", "offline", None)
    codec, tally = StateCodec(), Tally()
    states: dict[str, State] = {}
    log_times: defaultdict[int, int] = defaultdict(int)
    parts = Parts(defaultdict(float), Counter())
    work = list(batches(iter(rows), size))
    _settle_memory()
    for partition, raw in work:
        began = time.process_time()
        records, _, log_times[partition] = decode(segmentation, raw, log_times[partition])
        decoded = time.process_time()
        known = {record.key: states[record.key] for record in records if record.key in states}
        effects = step(held, tally, Batch(partition, records, (), known))
        decided = time.process_time()
        messages = context.messages(effects.outputs)
        rendered = time.process_time()
        framed = [(key, frame(raw[-1].offset, codec.encode(state))) for key, state in effects.states.items()]
        stored = time.process_time()
        arguments: tuple[Any, ...] = ("EVALSHA", *(f"fs:{key}" for key, _ in framed), *(raw for _, raw in framed))
        pack_command(arguments)
        packed = time.process_time()
        states.update(effects.states)
        times = (began, decoded, decided, rendered, stored, packed)
        for name, start, end in zip(_PARTS, times[:-1], times[1:], strict=True):
            parts.seconds[name] += end - start
        parts.counts["events"] += len(raw)
        parts.counts["outputs"] += len(messages)
        parts.counts["output_bytes"] += sum(len(message.value or b"") for message in messages)
        parts.counts["profiles_touched"] += len(framed)
        parts.counts["state_bytes"] += sum(len(value) for _, value in framed)
    parts.counts["transitions"] = tally.entered + tally.exited
    parts.seconds["engine alone"] = engine(held, work)
    return parts


_PARTS = ("decode facts", "decide", "encode outputs", "encode states", "pack for Redis")


def engine(held: Definitions, work: Sequence[tuple[int, Sequence[ConsumerRecord]]]) -> float:
    """CPU seconds of the engine alone over the same facts."""
    segmentation = stage(lambda: held)
    states: dict[str, State] = {}
    seconds = 0.0
    for _, raw in work:
        records: Sequence[Record[Fact]] = decode(segmentation, raw, 0)[0]
        began = time.process_time()
        for record in records:
            state = states.get(record.key)
            if state is None:
                state = states[record.key] = new_state("default")
            state.engine = apply_fact(held.plan, state, record.key, record.value).state
        seconds += time.process_time() - began
    return seconds


def _settle_memory() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def main() -> int:
    """Measures each number of segments; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.runtime.offline", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--segments", type=int, nargs="+", default=[20, 500])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=500, help="records of a micro-batch")
    options = parser.parse_args()
    data = _GA4 if _GA4.is_dir() else None
    workload = load(data, _VALUES_FROM)
    rows = list(islice(facts(data, options.events), options.events))
    for count in options.segments:
        texts = [definition.pql for definition in definitions(count, workload)]
        segments = [SegmentDefinition(f"s{i}", f"s{i}", text, version=1) for i, text in enumerate(texts)]
        held = compile_definitions(segments, (), pql.Schema.permissive())
        found = measure(held, rows, options.rows)
        for _ in range(options.runs - 1):
            found = found.least(measure(held, rows, options.rows))
        sys.stdout.write(json.dumps(found.row(count)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
