"""Definitions in SQL, published through the outbox in the same transaction."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from shared.adapters.sql import Database, Outbox, as_struct, outbox_table
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.topics import FEATURE_DEFINITIONS, SEGMENT_DEFINITIONS
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.errors import Reason, Rejected

metadata = MetaData()

_segments = Table(
    "segments",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("expression", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
)
_live = _segments.c.deleted.is_(False)
Index("segments_live_name", _segments.c.name, unique=True, sqlite_where=_live, postgresql_where=_live)
_feature_sets = Table(
    "feature_sets",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("features", LargeBinary, nullable=False),
    Column("deleted", Boolean, nullable=False),
)
outbox = outbox_table(metadata)

_features = msgspec.json.Decoder(tuple[FeatureDefinition, ...])


class SqlDefinitionStore:
    """Implements `DefinitionStore`."""

    def __init__(self, database: Database, published: Outbox) -> None:
        self._database = database
        self._outbox = published

    async def segments(self) -> Sequence[SegmentDefinition]:
        query = select(_segments).where(_segments.c.deleted.is_(False)).order_by(_segments.c.name)
        return [as_struct(SegmentDefinition, row) for row in await self._database.rows(query)]

    async def segment(self, segment_id: str) -> SegmentDefinition | None:
        rows = await self._database.rows(select(_segments).where(_segments.c.id == segment_id))
        return as_struct(SegmentDefinition, rows[0]) if rows else None

    async def save_segment(self, segment: SegmentDefinition, expected_version: int) -> None:
        values = {name: getattr(segment, name) for name in _segments.columns.keys()}  # noqa: SIM118 - SQL columns
        async with self._database.begin() as connection:
            await self._write(connection, _segments, _segments.c.id == segment.id, values, expected_version)
            await self._outbox.add(connection, SEGMENT_DEFINITIONS, segment.id, segment)

    async def feature_sets(self) -> Sequence[FeatureSetDefinition]:
        rows = await self._database.rows(select(_feature_sets).order_by(_feature_sets.c.name))
        return [as_struct(FeatureSetDefinition, row, features=_features.decode(row.features)) for row in rows]

    async def save_feature_set(self, feature_set: FeatureSetDefinition, expected_version: int) -> None:
        values = {
            "name": feature_set.name,
            "version": feature_set.version,
            "features": msgspec.json.encode(feature_set.features),
            "deleted": feature_set.deleted,
        }
        async with self._database.begin() as connection:
            condition = _feature_sets.c.name == feature_set.name
            await self._write(connection, _feature_sets, condition, values, expected_version)
            await self._outbox.add(connection, FEATURE_DEFINITIONS, feature_set.name, feature_set)

    @staticmethod
    async def _write(connection: Any, table: Table, condition: Any, values: dict[str, Any], expected: int) -> None:
        """Compare-and-set on the version: inserts when 0 is expected and nothing is there, updates otherwise."""
        statement: Any = insert(table).values(**values)
        if expected:
            statement = update(table).where(condition, table.c.version == expected).values(**values)
        try:
            done = await connection.execute(statement)
        except IntegrityError:  # another process took the id or the name since it was checked
            raise _changed_meanwhile() from None
        if done.rowcount != 1:
            raise _changed_meanwhile()


def _changed_meanwhile() -> Rejected:
    return Rejected("somebody else changed these definitions just now; read them again and repeat", Reason.CONFLICT)
