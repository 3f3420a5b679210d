"""The catalogue never lets a record of a registered dataset pass for one of an unknown dataset."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.ingestion.adapters.catalogue import RegisteredCatalogue
from services.ingestion.adapters.json_schema import compile_schema
from services.ingestion.adapters.registrations import SqlRegistrations, metadata
from services.ingestion.adapters.schemas import EVENT_SCHEMA
from services.ingestion.domain.registrations import DatasetDefinition
from shared.adapters.sql import Database
from shared.kernel.errors import Retryable
from tests.support.waiting import eventually


class Flaky(SqlRegistrations):
    """Does not answer as often as `failures` says, nor while `open_` is not set; counts looks."""

    failures = 0
    looks = 0
    open_: asyncio.Event

    async def looked(self) -> bool:
        return self.looks > 0

    async def datasets(self) -> Sequence[DatasetDefinition]:
        self.looks += 1
        await self.open_.wait()
        if self.failures > 0:
            self.failures -= 1
            raise Retryable("the registrations database does not answer")
        return await super().datasets()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Flaky]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/ingestion.db", metadata)
    await database.start()
    store = Flaky(database, "default")
    store.open_ = asyncio.Event()
    store.open_.set()
    yield store
    await database.stop()


def definition(id_: str) -> DatasetDefinition:
    return DatasetDefinition(id_, id_, EVENT_SCHEMA)


async def test_all_partitions_wait_for_the_first_look(store: Flaky) -> None:
    await store.add_dataset(definition("shop"))
    catalogue = RegisteredCatalogue(store, compile_schema)

    async def partition() -> bool:
        await catalogue.learn({"shop"})
        return "shop" in catalogue.datasets

    assert all(await asyncio.gather(*(partition() for _ in range(8))))


async def test_a_dataset_registered_elsewhere_a_moment_ago_is_found(store: Flaky) -> None:
    catalogue = RegisteredCatalogue(store, compile_schema)
    await catalogue.refresh()
    await store.add_dataset(definition("shop"))

    await catalogue.learn({"shop"})

    assert "shop" in catalogue.datasets


async def test_records_wait_while_the_store_does_not_answer(store: Flaky) -> None:
    await store.add_dataset(definition("shop"))
    catalogue = RegisteredCatalogue(store, compile_schema)
    store.failures = 2

    await catalogue.learn({"shop"})

    assert "shop" in catalogue.datasets


async def test_what_is_known_needs_no_store(store: Flaky) -> None:
    await store.add_dataset(definition("shop"))
    catalogue = RegisteredCatalogue(store, compile_schema)
    await catalogue.learn({"shop"})
    store.failures = 1_000

    await catalogue.learn({"shop"})

    found = await catalogue.dataset("shop")
    assert found is not None
    assert found.id == "shop"


async def test_a_flood_of_one_unknown_dataset_costs_one_look(store: Flaky) -> None:
    catalogue = RegisteredCatalogue(store, compile_schema)

    for _ in range(100):
        await catalogue.learn({"nowhere"})

    assert store.looks == 1


class Watch:
    """Seconds, moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def catalogue(store: Flaky, watch: Watch) -> RegisteredCatalogue:
    """One that has read a store with one dataset."""
    await store.add_dataset(definition("shop"))
    catalogue = RegisteredCatalogue(store, compile_schema, watch)
    await catalogue.refresh()
    store.looks = 0
    return catalogue


async def test_a_hundred_requests_that_find_it_old_cost_one_look_and_wait_for_none(
    catalogue: RegisteredCatalogue, store: Flaky, watch: Watch
) -> None:
    watch.now += 6
    store.open_.clear()

    found = [await catalogue.dataset("shop") for _ in range(100)]

    await eventually(store.looked, "a look into the store")
    assert ([True] * 100, 1) == ([dataset is not None for dataset in found], store.looks)


async def test_what_is_very_old_is_read_before_it_is_used(
    catalogue: RegisteredCatalogue, store: Flaky, watch: Watch
) -> None:
    watch.now += 60
    await store.remove_dataset("shop")

    found = await asyncio.gather(*(catalogue.dataset("shop") for _ in range(100)))

    assert ([None] * 100, 1) == (found, store.looks)


async def test_while_the_store_does_not_answer_it_is_asked_once_a_second(
    catalogue: RegisteredCatalogue, store: Flaky, watch: Watch
) -> None:
    watch.now += 60
    store.failures = 1_000

    found = [await catalogue.dataset("shop") for _ in range(100)]
    watch.now += 1
    looks, store.looks = store.looks, 0
    found.append(await catalogue.dataset("shop"))

    await eventually(store.looked, "a look beside the last request")
    assert (101, 1, 1) == (sum(dataset is not None for dataset in found), looks, store.looks)


async def test_refreshes_that_wait_for_one_turn_share_it(store: Flaky) -> None:
    catalogue = RegisteredCatalogue(store, compile_schema)

    await asyncio.gather(*(catalogue.refresh() for _ in range(100)))

    assert store.looks <= 2
