"""What all partitions of a stage in one process share."""

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
    """Bounds of the memory that one partition takes, and of how long its deadlines may keep records waiting."""

    batch_rows_max: int = 2_000
    batch_bytes_max: int = 8 * 1024 * 1024
    rows_queued_max: int = 4_000
    bytes_queued_max: int = 16 * 1024 * 1024
    batches_unsettled_max: int = 4
    states_cached_max: int = 20_000
    states_bytes_max: int = 64 * 1024 * 1024
    """Encoded size of the states held; as objects they take some times as much."""
    deadlines_slice_max: int = 200
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
        messages: list[Message] = []
        counts: dict[str, int] = {}
        for output in outputs:
            topic, key, value = output.topic, output.key, output.value
            name = topic.name
            counts[name] = counts.get(name, 0) + 1
            messages.append(
                Message(
                    self.prefix + name,
                    destination(topic, key, output.partition),
                    None if key is None else key.encode(),
                    value if type(value) is bytes else encode(value),
                    output.headers,
                    output.timestamp_ms,
                )
            )
        for name, count in counts.items():
            self.metrics.outputs.labels(name).inc(count)
        return messages
