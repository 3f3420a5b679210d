"""Versions and aliases in SQL: versions never change (the database refuses it), aliases move by compare-and-set."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.model_registry.domain import Alias, Version
from services.model_registry.errors import AliasConflict
from shared.adapters.sql import Database, Outbox, as_struct, outbox_table
from shared.contracts.models import ModelEvent, ModelManifest
from shared.contracts.topics import MODEL_EVENTS
from shared.kernel.errors import Reason, Rejected

METADATA = MetaData()

VERSIONS = Table(
    "versions",
    METADATA,
    Column("model", String(63), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("model", "digest"),
)
ALIASES = Table(
    "aliases",
    METADATA,
    Column("model", String(63), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("moved_at", BigInteger, nullable=False),
)
HISTORY = Table(
    "alias_history",
    METADATA,
    Column("model", String(63), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("moved_at", BigInteger, nullable=False),
)
OUTBOX = outbox_table(METADATA)

_ADD_ATTEMPTS = 5


def _refuse_changes(table: str) -> None:
    """Adds triggers by which the database itself refuses to change or delete rows of `table`."""
    for verb in ("UPDATE", "DELETE"):
        sqlite = (
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
        )
        event.listen(METADATA, "after_create", DDL(sqlite).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]
    function = (
        f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger AS $$ "
        f"BEGIN RAISE EXCEPTION 'rows of {table} never change'; END $$ LANGUAGE plpgsql"
    )
    trigger = (
        f"CREATE OR REPLACE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
    )
    for postgresql in (function, trigger):
        event.listen(METADATA, "after_create", DDL(postgresql).execute_if(dialect="postgresql"))  # type: ignore[no-untyped-call]


_refuse_changes("versions")
_refuse_changes("alias_history")


class SqlVersions:
    """Implements the port `Versions` on SQL."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._turn = asyncio.Lock()

    async def add(self, manifest: ModelManifest, now: int) -> tuple[Version, bool]:
        for _ in range(_ADD_ATTEMPTS):
            try:
                async with self._turn, self._database.begin() as connection:
                    return await self._add(connection, manifest, now)
            except IntegrityError:
                continue  # another process took the number or registered the same file: look again
        raise Rejected(f"model {manifest.model!r} is being uploaded by many at once; try again", Reason.CONFLICT)

    async def _add(self, connection: AsyncConnection, manifest: ModelManifest, now: int) -> tuple[Version, bool]:
        mine = VERSIONS.c.model == manifest.model
        row = (await connection.execute(select(VERSIONS).where(mine, VERSIONS.c.digest == manifest.digest))).first()
        if row is not None:
            return _version(row), False
        newest = (await connection.execute(select(func.max(VERSIONS.c.version)).where(mine))).scalar()
        version = Version(manifest.model, (newest or 0) + 1, manifest.digest, manifest, now)
        await connection.execute(
            insert(VERSIONS).values(
                model=version.model,
                version=version.version,
                digest=version.digest,
                manifest=msgspec.json.encode(manifest),
                created_at=now,
            )
        )
        model_event = ModelEvent("version", version.model, version.version, version.digest, manifest, now)
        await self._outbox.add(connection, MODEL_EVENTS, model_event.key, model_event)
        return version, True

    async def models(self) -> Sequence[str]:
        query = select(VERSIONS.c.model).distinct().order_by(VERSIONS.c.model)
        return [row.model for row in await self._database.rows(query)]

    async def of_model(self, model: str) -> Sequence[Version]:
        query = select(VERSIONS).where(VERSIONS.c.model == model).order_by(VERSIONS.c.version)
        return [_version(row) for row in await self._database.rows(query)]

    async def get(self, model: str, version: int) -> Version:
        query = select(VERSIONS).where(VERSIONS.c.model == model, VERSIONS.c.version == version)
        rows = await self._database.rows(query)
        if not rows:
            raise Rejected(
                f"model {model!r} has no version {version}; GET /models/{model} lists its versions", Reason.NOT_FOUND
            )
        return _version(rows[0])

    async def aliases(self, model: str) -> Sequence[Alias]:
        return [
            as_struct(Alias, row) for row in await self._database.rows(select(ALIASES).where(ALIASES.c.model == model))
        ]

    async def alias(self, model: str, alias: str) -> Alias | None:
        rows = await self._database.rows(select(ALIASES).where(ALIASES.c.model == model, ALIASES.c.alias == alias))
        return as_struct(Alias, rows[0]) if rows else None

    async def history(self, model: str, alias: str) -> Sequence[Alias]:
        mine = (HISTORY.c.model == model, HISTORY.c.alias == alias)
        return [
            as_struct(Alias, row)
            for row in await self._database.rows(select(HISTORY).where(*mine).order_by(HISTORY.c.revision))
        ]

    async def move_alias(self, model: str, alias: str, version: int, expected_revision: int, now: int) -> Alias:
        target = await self.get(model, version)
        previous = await self.alias(model, alias)
        # Readers of the log order moves by time, so an alias's time never goes back with the clock.
        at = max(now, previous.moved_at + 1) if previous is not None else now
        moved = Alias(model, alias, version, expected_revision + 1, at)
        try:
            async with self._database.begin() as connection:
                if not await _compare_and_set(connection, moved):
                    raise _StaleError
                await connection.execute(insert(HISTORY).values(_row(moved)))
                told = ModelEvent(
                    "alias", model, version, target.digest, target.manifest, at, alias, expected_revision + 1
                )
                await self._outbox.add(connection, MODEL_EVENTS, told.key, told)
        except (IntegrityError, _StaleError):
            present = await self.alias(model, alias)
            revision, there = (present.revision, present.version) if present else (0, 0)
            raise AliasConflict(model, alias, expected_revision, revision, there) from None
        return moved


class _StaleError(Exception):
    """Rolls a transaction back; never leaves this module."""


async def _compare_and_set(connection: AsyncConnection, moved: Alias) -> bool:
    """Writes the move if the alias still has the revision before it. A first move that lost raises IntegrityError."""
    if moved.revision == 1:
        await connection.execute(insert(ALIASES).values(_row(moved)))
        return True
    mine = (ALIASES.c.model == moved.model, ALIASES.c.alias == moved.alias, ALIASES.c.revision == moved.revision - 1)
    return (await connection.execute(update(ALIASES).where(*mine).values(_row(moved)))).rowcount == 1


def _row(alias: Alias) -> dict[str, Any]:
    return {
        "model": alias.model,
        "alias": alias.alias,
        "version": alias.version,
        "revision": alias.revision,
        "moved_at": alias.moved_at,
    }


def _version(row: Any) -> Version:
    return as_struct(Version, row, manifest=msgspec.json.decode(row.manifest, type=ModelManifest))
