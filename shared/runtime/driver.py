"""An in-memory broker for stages: real order, partitions, offsets, codecs and fences; a clock moved by hand.

Runs several connected stages in one thread, for tests, simulation and `freshet segments test`. Records and states go
through their real codecs, so that what works here works on the wire.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.codec import encode
from shared.contracts.headers import Headers
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import Topic
from shared.kernel.clock import Micros
from shared.kernel.errors import Rejected
from shared.runtime.stage import Batch, Due, Effects, Output, Record, Stage, single_records
from shared.runtime.stepper import merge_effects


@dataclass(frozen=True, slots=True)
class Written:
    """A record in a topic of the driver. `value` is decoded."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: Any
    headers: Headers
    timestamp_ms: int


@dataclass(slots=True)
class _Kept:
    """One stage's state in one partition: what Redis would hold."""

    offset: int = -1
    log_time: int = 0
    states: dict[str, bytes] = field(default_factory=dict)
    deadlines: dict[str, int] = field(default_factory=dict)
    strings: dict[str, bytes] = field(default_factory=dict)
    sets: defaultdict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))


class TopologyDriver:
    """Drives `stages` until nothing is left to do. `stream_clock`: time is the newest log time of each partition."""

    def __init__(self, *stages: Stage[Any, Any], stream_clock: bool = True, batch_rows_max: int = 1_000) -> None:
        self._stages = stages
        self._stream_clock = stream_clock
        self._batch_rows_max = batch_rows_max
        self._logs: defaultdict[tuple[str, int], list[tuple[str | None, bytes, Headers, int]]] = defaultdict(list)
        self._kept: defaultdict[tuple[str, int], _Kept] = defaultdict(_Kept)
        self._topics: dict[str, Topic] = {}
        self.rejected: list[tuple[str, Rejected]] = []
        self.now = 0

    def send(
        self, topic: Topic, key: str | None, value: Any, headers: Headers = (), partition: int | None = None
    ) -> None:
        """Appends a record; call `settle` to have it processed."""
        self._topics[topic.name] = topic
        if partition is None:
            partition = partition_of(key, topic.partitions) if key is not None and topic.partitions > 1 else 0
        raw = value if isinstance(value, bytes) else encode(value)
        self._logs[topic.name, partition].append((key, raw, headers, self.now // 1000))

    def read(self, topic: Topic) -> list[Written]:
        """Returns everything written to a topic, by partition, then offset."""
        return [
            Written(topic.name, partition, offset, key, topic.codec.decode(raw), headers, at)
            for (name, partition), log in sorted(self._logs.items(), key=lambda item: item[0])
            if name == topic.name
            for offset, (key, raw, headers, at) in enumerate(log)
        ]

    def advance_to(self, instant: int) -> None:
        """Moves the wall clock (µs) on and fires what came due."""
        self.now = max(self.now, instant)
        self.settle()

    def settle(self) -> None:
        """Runs stages until all logs are read and no deadline is due."""
        while sum(self._run(stage) for stage in self._stages):
            pass

    def state(self, stage: Stage[Any, Any], key: str) -> Any:
        """Returns one key's decoded state, or None."""
        assert stage.state is not None
        raw = self._kept[stage.name, partition_of(key, stage.source.partitions)].states.get(key)
        return None if raw is None else stage.state.decode(raw)

    def view(self, stage: Stage[Any, Any], partition: int, name: str) -> bytes | None:
        """Returns a string view written for readers, or None."""
        return self._kept[stage.name, partition].strings.get(name)

    def members(self, stage: Stage[Any, Any], name: str) -> set[str]:
        """Returns a set view over all partitions."""
        kept = (kept for (owner, _), kept in self._kept.items() if owner == stage.name)
        return {member.decode() for part in kept for member in part.sets.get(name, ())}

    def _run(self, stage: Stage[Any, Any]) -> bool:
        if not stage.gate():
            return False
        busy = False
        for partition in range(stage.source.partitions):
            busy |= self._read_on(stage, partition)
            busy |= self._fire(stage, partition)
            busy |= self._take_turn(stage, partition)
        return busy

    def _take_turn(self, stage: Stage[Any, Any], partition: int) -> bool:
        """Takes one turn of the interlude; its `claimed` is the caller's to await."""
        if stage.interlude is None or not stage.interlude.is_busy(partition):
            return False
        kept = self._kept[stage.name, partition]
        turn = stage.interlude.next_turn(partition, kept.offset, Micros(max(0, self._reached(kept))))
        if turn is None:
            return False
        if turn.due:
            states = self._load(stage, kept, [due.key for due in turn.due])
            self._step(stage, kept, Batch(partition, (), turn.due, states))
        self._write_views(kept, Effects(views=list(turn.views)))
        turn.done()
        return True

    def _reached(self, kept: _Kept) -> int:
        return kept.log_time - 1 if self._stream_clock else self.now

    def _read_on(self, stage: Stage[Any, Any], partition: int) -> bool:
        kept = self._kept[stage.name, partition]
        log = self._logs[stage.source.name, partition]
        rows = range(kept.offset + 1, min(len(log), kept.offset + 1 + self._batch_rows_max))
        if not rows:
            return False
        records: list[Record[Any]] = []
        for offset in rows:
            key, raw, headers, at = log[offset]
            try:
                value = stage.source.codec.decode(raw)
            except Rejected as error:
                self.rejected.append((stage.name, error))
                continue
            records.append(Record(key or "", value, partition, offset, at, headers, reached=kept.log_time))
            if stage.log_time is not None:
                kept.log_time = max(kept.log_time, stage.log_time(value))
        kept.offset = rows[-1]
        self._step(stage, kept, Batch(partition, records, (), self._load(stage, kept, [r.key for r in records])))
        return True

    def _fire(self, stage: Stage[Any, Any], partition: int) -> bool:
        kept = self._kept[stage.name, partition]
        reached = self._reached(kept)
        due = sorted((at, key) for key, at in kept.deadlines.items() if at <= reached)
        if not due:
            return False
        batch: Batch[Any, Any] = Batch(
            partition, (), [Due(key, Micros(at)) for at, key in due], self._load(stage, kept, [k for _, k in due])
        )
        self._step(stage, kept, batch)
        return True

    @staticmethod
    def _load(stage: Stage[Any, Any], kept: _Kept, keys: list[str]) -> dict[str, Any]:
        if stage.state is None:
            return {}
        return {key: stage.state.decode(kept.states[key]) for key in keys if key in kept.states}

    def _step(self, stage: Stage[Any, Any], kept: _Kept, batch: Batch[Any, Any]) -> None:
        effects: Effects[Any] = Effects()
        for single in single_records(batch) if stage.state is None else (batch,):
            try:
                merge_effects(effects, stage.step(single))
            except Rejected as error:
                self.rejected.append((stage.name, error))
        self.rejected.extend((stage.name, rejection.error) for rejection in effects.rejections)
        for output in effects.outputs:
            self._emit(output)
        if stage.state is not None:
            kept.states |= {key: stage.state.encode(state) for key, state in effects.states.items()}
        for key, deadline in effects.deadlines.items():
            if deadline is None:
                kept.deadlines.pop(key, None)
            else:
                kept.deadlines[key] = deadline
        self._write_views(kept, effects)

    def _emit(self, output: Output) -> None:
        self.send(output.topic, output.key, output.value, output.headers, output.partition)

    @staticmethod
    def _write_views(kept: _Kept, effects: Effects[Any]) -> None:
        for view in effects.views:
            if view.action == "set":
                kept.strings[view.name] = view.value
            elif view.action == "delete":
                kept.strings.pop(view.name, None)
            elif view.action == "add":
                kept.sets[view.name].add(view.value)
            else:
                kept.sets[view.name].discard(view.value)
