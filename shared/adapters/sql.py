"""SQL through SQLAlchemy Core: SQLite by default, PostgreSQL in production, a database a service; and the outbox."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

from mode import Service
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, delete, event, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.adapters.kafka import Producer
from shared.contracts.codec import encode
from shared.contracts.topics import Topic
from shared.kernel.errors import Retryable

T = TypeVar("T")

_RELAY_ROWS_MAX = 100
_FIELDS: dict[type[Any], tuple[str, ...]] = {}


class Database(Service):
    """A service's own database. Tables are created at start; SQLite runs in WAL mode with foreign keys on."""

    def __init__(self, url: str, metadata: MetaData) -> None:
        super().__init__()
        parsed = make_url(url)
        self._metadata = metadata
        self._file = Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
        self.engine: AsyncEngine = create_async_engine(parsed, pool_pre_ping=self._file is None)
        if self._file is not None:
            event.listen(self.engine.sync_engine, "connect", _configure_sqlite)

    async def on_start(self) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        async with self.engine.begin() as connection:
            await connection.run_sync(self._metadata.create_all)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: commits at the end of the block, rolls back when it raises."""
        async with self.engine.begin() as connection:
            yield connection

    async def rows(self, query: Any) -> Sequence[Any]:
        """Returns all rows that a query finds now."""
        async with self.engine.connect() as connection:
            return (await connection.execute(query)).all()

    async def ping(self) -> None:
        """Raises when the database does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def on_stop(self) -> None:
        await self.engine.dispose()


def as_struct(type_: type[T], row: Any, **derived: Any) -> T:
    """Makes a Struct or dataclass of a row: its fields from the columns of the same names, `derived` before those."""
    columns = row._mapping
    named = {name: columns[name] for name in _fields(type_) if name in columns and name not in derived}
    return type_(**named, **derived)


def _fields(type_: type[Any]) -> tuple[str, ...]:
    if type_ not in _FIELDS:
        _FIELDS[type_] = tuple(signature(type_).parameters)
    return _FIELDS[type_]


def _configure_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def outbox_table(metadata: MetaData) -> Table:
    """Declares the outbox: records that a transaction wants published, in order of `id`."""
    return Table(
        "outbox",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("topic", String(200), nullable=False),
        Column("key", String(500), nullable=False),
        Column("value", LargeBinary, nullable=True),
    )


class Outbox:
    """Transactional outbox: `add` inside the transaction that changes a definition, `relay` afterwards.

    A row is deleted only after Kafka confirmed it, so a crash repeats a record and never loses one. One relay per
    database may run at a time (the service's control process).
    """

    def __init__(self, database: Database, table: Table, topics: tuple[Topic, ...]) -> None:
        self._database = database
        self._table = table
        self._topics = {topic.name: topic for topic in topics}
        self._turn = asyncio.Lock()

    async def add(self, connection: AsyncConnection, topic: Topic, key: str, value: Any) -> None:
        """Records that `value` (a Struct; None for a tombstone) is to be published under `key`."""
        raw = None if value is None else encode(value)
        await connection.execute(insert(self._table).values(topic=topic.name, key=key, value=raw))

    async def relay(self, producer: Producer) -> int:
        """Publishes waiting rows in order; returns how many. Raises Retryable when Kafka does not confirm."""
        published = 0
        async with self._turn:
            while rows := await self._waiting():
                for row in rows:
                    await producer.send(self._topics[row.topic], row.key, row.value)
                    async with self._database.begin() as connection:
                        await connection.execute(delete(self._table).where(self._table.c.id == row.id))
                    published += 1
        return published

    async def relay_soon(self, producer: Producer) -> None:
        """Publishes at once when Kafka answers; otherwise leaves it to the timer."""
        try:
            await self.relay(producer)
        except Retryable:
            return

    async def _waiting(self) -> list[Any]:
        query = select(self._table).order_by(self._table.c.id).limit(_RELAY_ROWS_MAX)
        return list(await self._database.rows(query))
