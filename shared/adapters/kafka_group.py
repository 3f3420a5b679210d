"""The consumer of a stage: a member of the stage's group, and what it is told of rebalances."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from shared.adapters.kafka_access import KafkaAccess, client_options

_POLL_INTERVAL_MS_MAX = 24 * 3_600_000
"""A worker that waits for Redis keeps its partitions: giving them away would only add a rebalance to the trouble."""


def stage_consumer(
    servers: str | KafkaAccess,
    group: str,
    session_timeout_ms: int,
    client_id: str = "freshet",
    instance_id: str | None = None,
) -> AIOKafkaConsumer:
    """Returns a consumer for a stage: commits by hand, starts at the log's beginning when nothing is committed.

    `instance_id` makes it a static member: restarted within its session it gets its partitions back at once.
    """
    return AIOKafkaConsumer(
        **client_options(servers),
        group_id=group,
        group_instance_id=instance_id,
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=max(500, session_timeout_ms // 5),
        max_poll_interval_ms=_POLL_INTERVAL_MS_MAX,
        max_partition_fetch_bytes=1024 * 1024,
        fetch_max_wait_ms=200,
    )


async def log_start_offsets(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Returns the oldest offset the broker still holds, per partition."""
    offsets: dict[TopicPartition, int] = await consumer.beginning_offsets(list(partitions))
    return offsets


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes assignment changes to two coroutines. aiokafka swallows what a listener raises, so they must not."""

    def __init__(
        self,
        revoked: Callable[[Sequence[TopicPartition]], Awaitable[None]],
        assigned: Callable[[Sequence[TopicPartition]], Awaitable[None]],
    ) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        await self._revoked(revoked)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        await self._assigned(assigned)
