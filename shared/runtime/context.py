"""What all partitions of a stage in one process share."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.adapters.kafka import Message, Producer, destination
from shared.contracts.codec import encode
from shared.kernel.clock import Clock
from shared.runtime.metrics import StageMetrics
from shared.runtime.stage import Output, Stage

V = TypeVar("V")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker's memory and of how long deadlines may keep records waiting."""

    batch_rows_max: int = 2_000
    rows_queued_max: int = 4_000
    batches_unsettled_max: int = 4
    states_cached_max: int = 20_000
    deadlines_slice_max: int = 1_000
    deadline_grace_us: int = 200_000
    """On the wall clock a deadline fires this much late, so that records accepted before it have arrived."""


@dataclass(frozen=True, slots=True)
class Context(Generic[V, S]):
    """What all partitions of a stage share. `wall` None means the stream clock."""

    stage: Stage[V, S]
    producer: Producer
    metrics: StageMetrics
    limits: Limits
    prefix: str
    group: str
    wall: Clock | None

    @property
    def dlq_topic(self) -> str:
        """The physical dead-letter topic of the stage's source."""
        return self.prefix + self.stage.source.dlq_name

    def messages(self, outputs: Sequence[Output]) -> list[Message]:
        """Encodes outputs for their physical topics and partitions, in order, and counts them."""
        for name, count in Counter(output.topic.name for output in outputs).items():
            self.metrics.outputs.labels(name).inc(count)
        return [self._message(output) for output in outputs]

    def _message(self, output: Output) -> Message:
        partition = destination(output.topic, output.key, output.partition)
        value = output.value if isinstance(output.value, bytes) else encode(output.value)
        key = None if output.key is None else output.key.encode()
        return Message(self.prefix + output.topic.name, partition, key, value, output.headers, output.timestamp_ms)
