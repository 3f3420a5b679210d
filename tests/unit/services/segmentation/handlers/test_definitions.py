"""Definitions: everything is checked before anything is stored. On a real SQLite database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.segmentation.adapters.store import SqlDefinitionStore, metadata, outbox
from services.segmentation.handlers.definitions import DefinitionHandlers
from shared import pql
from shared.adapters.sql import Database, Outbox
from shared.contracts.topics import FEATURE_DEFINITIONS, SEGMENT_DEFINITIONS
from shared.contracts.vectors import FeatureDefinition
from shared.kernel.clock import ManualClock
from shared.kernel.errors import Reason, Rejected


class AnySchema:
    """Accepts every path."""

    async def union(self) -> pql.Schema:
        return pql.Schema.permissive()


@pytest.fixture
async def handlers(tmp_path: Path) -> AsyncIterator[DefinitionHandlers]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/sql/segmentation.db", metadata)
    await database.start()
    store = SqlDefinitionStore(database, Outbox(database, outbox, (SEGMENT_DEFINITIONS, FEATURE_DEFINITIONS)))
    ids = iter(f"id{number}" for number in range(100))
    yield DefinitionHandlers(store, AnySchema(), ManualClock(5), lambda: next(ids))
    await database.stop()


async def test_an_edit_makes_the_next_version_and_keeps_the_id(handlers: DefinitionHandlers) -> None:
    first = await handlers.define_segment("kr", 'homeAddress.countryCode = "KR"')
    second = await handlers.edit_segment(first.id, None, 'homeAddress.countryCode = "JP"', None)

    assert (first.id, 2) == (second.id, second.version)
    assert [second] == list(await handlers.list_segments())


async def test_an_expression_that_does_not_compile_is_not_stored(handlers: DefinitionHandlers) -> None:
    with pytest.raises(pql.PqlError):
        await handlers.define_segment("bad", "xEvent[")

    assert [] == list(await handlers.list_segments())


async def test_a_name_belongs_to_one_segment(handlers: DefinitionHandlers) -> None:
    await handlers.define_segment("kr", 'homeAddress.countryCode = "KR"')

    with pytest.raises(Rejected, match="the name 'kr' belongs to segment 'id0'") as error:
        await handlers.define_segment("kr", 'homeAddress.countryCode = "JP"')

    assert Reason.CONFLICT == error.value.reason


async def test_segments_that_refer_to_each_other_in_a_circle_are_refused(handlers: DefinitionHandlers) -> None:
    await handlers.define_segment("a", "person.birthYear > 1", segment_id="a")
    await handlers.define_segment("b", 'inSegment("a")', segment_id="b")

    with pytest.raises(Rejected, match=r"a.*b|b.*a"):
        await handlers.edit_segment("a", None, 'inSegment("b")', None)


async def test_a_segment_that_others_refer_to_cannot_be_removed(handlers: DefinitionHandlers) -> None:
    await handlers.define_segment("a", "person.birthYear > 1", segment_id="a")
    await handlers.define_segment("b", 'inSegment("a")', segment_id="b")

    with pytest.raises(Rejected):
        await handlers.remove_segment("a")

    assert 2 == len(await handlers.list_segments())


async def test_a_removed_segments_id_can_be_used_again_with_a_later_version(handlers: DefinitionHandlers) -> None:
    await handlers.define_segment("a", "person.birthYear > 1", segment_id="a")
    await handlers.remove_segment("a")

    again = await handlers.define_segment("a", "person.birthYear > 2", segment_id="a")

    assert 3 == again.version


async def test_the_same_feature_set_again_changes_nothing(handlers: DefinitionHandlers) -> None:
    features = [FeatureDefinition("n", "xEvent.count()")]
    first = await handlers.define_feature_set("shop", features)
    same = await handlers.define_feature_set("shop", features)
    other = await handlers.define_feature_set("shop", [*features, FeatureDefinition("m", "xEvent.count() + 1")])

    assert (1, 1, 2) == (first.version, same.version, other.version)
    assert first.hash != other.hash


async def test_a_feature_named_twice_is_refused_by_name(handlers: DefinitionHandlers) -> None:
    with pytest.raises(Rejected, match="names n more than once"):
        await handlers.define_feature_set("shop", [FeatureDefinition("n", "xEvent.count()")] * 2)
