"""Takes messages over HTTP: valid and identified first, durable second, answered last."""

from collections.abc import Sequence

import msgspec

from services.ingestion.domain.acceptance import accept
from services.ingestion.domain.facts import unknown_dataset
from services.ingestion.domain.registrations import Connection
from services.ingestion.ports import Catalogue, Durable, InboundLog
from shared.contracts.codec import Codec
from shared.contracts.headers import Headers
from shared.contracts.inbound import InboundMessage
from shared.contracts.topics import INBOUND
from shared.kernel.errors import Reason, Rejected, Retryable
from shared.kernel.ids import ProfileId

MESSAGE_BYTES_MAX = 1024 * 1024
BATCH_BYTES_MAX = 16 * 1024 * 1024
BATCH_ROWS_MAX = 1_000

Outcome = Durable | Rejected | Retryable
_Records = Sequence[tuple[ProfileId, bytes]]


class _Batch(msgspec.Struct):
    messages: list[msgspec.Raw]


_batches: Codec[_Batch] = Codec(_Batch)
_messages: Codec[InboundMessage] = INBOUND.codec


class CollectionHandlers:
    """What is returned as Durable survives any crash; everything else was not taken, or may be sent again."""

    def __init__(self, catalogue: Catalogue, log: InboundLog, tenant: str, in_flight_max: int) -> None:
        self._catalogue = catalogue
        self._log = log
        self._tenant = tenant
        self._in_flight_max = in_flight_max
        self.in_flight = 0

    async def collect(self, connection_id: str, raw: bytes, headers: Headers = ()) -> Durable:
        """Takes one message. Raises Rejected (never valid) or Retryable (not known to be durable)."""
        connection = await self._connection(connection_id)
        (outcome,) = await self._append([(await self._check(connection, raw), raw)], headers)
        if isinstance(outcome, Retryable):
            raise outcome
        return outcome

    async def collect_batch(self, connection_id: str, raw: bytes, headers: Headers = ()) -> Sequence[Outcome]:
        """Takes each message by itself; outcomes stand in the order of the messages."""
        connection = await self._connection(connection_id)
        parts = [bytes(part) for part in _batches.decode(raw).messages]
        if not 0 < len(parts) <= BATCH_ROWS_MAX:
            raise Rejected(f"a batch has 1 to {BATCH_ROWS_MAX} messages, this one has {len(parts)}", Reason.TOO_BIG)
        checked = [await self._try_check(connection, part) for part in parts]
        valid = [(key, part) for key, part in zip(checked, parts, strict=True) if not isinstance(key, Rejected)]
        done = iter(await self._append(valid, headers))
        return [key if isinstance(key, Rejected) else next(done) for key in checked]

    async def _connection(self, connection_id: str) -> Connection:
        connection = await self._catalogue.connection(connection_id)
        if connection is None:
            raise Rejected(
                f"connection {connection_id[:100]!r} is not registered; register one with POST /connections",
                Reason.NOT_FOUND,
            )
        return connection

    async def _check(self, connection: Connection, raw: bytes) -> ProfileId:
        if len(raw) > MESSAGE_BYTES_MAX:
            raise Rejected(f"the message has {len(raw)} bytes, at most {MESSAGE_BYTES_MAX} are taken", Reason.TOO_BIG)
        message = _messages.decode(raw)
        dataset_id = message.header.dataset_id
        if connection.dataset_id not in ("", dataset_id):
            raise Rejected(
                f"connection {connection.id} takes dataset {connection.dataset_id!r}, "
                f"the message is for {dataset_id[:100]!r}",
                Reason.ENVELOPE,
            )
        dataset = await self._catalogue.dataset(dataset_id)
        if dataset is None:
            raise unknown_dataset(dataset_id)
        if dataset.fact_type == "tick":
            raise Rejected("ticks belong to replays, which write them straight to Kafka", Reason.ENVELOPE)
        return accept(message, dataset, self._tenant).profile_id

    async def _try_check(self, connection: Connection, raw: bytes) -> ProfileId | Rejected:
        try:
            return await self._check(connection, raw)
        except Rejected as error:
            return error

    async def _append(self, records: _Records, headers: Headers) -> Sequence[Durable | Retryable]:
        """Appends as many of the records, from the first on, as may be in flight; the others are not taken."""
        taken = records[: max(0, self._in_flight_max - self.in_flight)]
        refused = [Retryable(f"{self._in_flight_max} messages wait for Kafka already")] * (len(records) - len(taken))
        if not taken:
            return refused
        self.in_flight += len(taken)
        try:
            return [*await self._log.append(taken, headers), *refused]
        except Retryable as error:
            return [error] * len(taken) + refused
        finally:
            self.in_flight -= len(taken)
