"""Lookups answer in the reference's shapes and say what is wrong with a question."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.profile_store.api import EVENT_SCHEMA, PROFILE_SCHEMA, routes
from services.profile_store.domain.state import ProfileState
from services.profile_store.handlers import Lookups
from services.profile_store.metrics import ProfileStoreMetrics
from services.profile_store.ports import MemberPage
from shared.kernel.ids import profile_id
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from tests.unit.services.profile_store.builders import days, email, fact, moved, profile, transition, update

ANN = profile_id("default", "Email", "ann@x.org")


class ProfilesInMemory:
    def __init__(self, states: Mapping[str, ProfileState]) -> None:
        self._states = states

    async def get(self, profile_id: str) -> ProfileState | None:
        return self._states.get(profile_id)


class MembersInMemory:
    """The cursor is the index at which the next page begins."""

    async def count(self, segment_id: str) -> int:
        return 3 if segment_id == "shop" else 0

    async def page(self, segment_id: str, cursor: str | None, limit: int) -> MemberPage:
        ids, begin = ("a", "b", "c")[: await self.count(segment_id)], int(cursor or 0)
        end = begin + limit
        return MemberPage(ids[begin:end], str(end) if end < len(ids) else None)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    state = profile(
        update(fact("r1", {"person": {"name": "Ann", "age": 7}}, "record", dataset_id="crm")),
        update(fact("e1", {"eventType": "view", "n": 1}, at=days(1), identities=(email("ann@x.org", True),))),
        moved(days(2), {"shop": days(2)}, transition("shop", "entered", days(2)), of=fact("e2", {"n": 2}, at=days(2))),
        update(fact("e3", {"n": 3}, at=days(3), dataset_id="web")),
    )
    registry = CollectorRegistry()
    app = create_api("profile_store", "", Health(), registry)
    lookups = Lookups(ProfilesInMemory({ANN: state}), MembersInMemory(), "default")
    app.include_router(routes(lookups, ProfileStoreMetrics(registry)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://store") as http:
        yield http


async def ask(client: httpx.AsyncClient, **query: Any) -> httpx.Response:
    return await client.get("/ups/access/entities", params={"schema.name": PROFILE_SCHEMA} | query)


async def ask_events(client: httpx.AsyncClient, **query: Any) -> Any:
    named = {"schema.name": EVENT_SCHEMA, "relatedEntityId": "ann@x.org", "relatedEntityIdNS": "email"}
    return (await client.get("/ups/access/entities", params=named | query)).json()


async def test_a_profile_is_found_by_identity_and_keyed_by_its_id(client: httpx.AsyncClient) -> None:
    answer = (await ask(client, entityId="ann@x.org", entityIdNS="email")).json()

    assert list(answer) == [ANN]
    found = answer[ANN]
    assert (found["entityId"], found["sources"]) == (ANN, ["crm", "web"])
    assert found["entity"]["person"] == {"name": "Ann", "age": 7}
    assert found["entity"]["segmentMembership"]["ups"]["shop"]["status"] == "realized"
    assert found["eventSummary"]["count"] == 3
    assert found["lastModifiedAt"] == "2023-11-17T22:13:20Z"


async def test_the_profile_id_itself_is_an_identity(client: httpx.AsyncClient) -> None:
    by_email = (await ask(client, entityId="ann@x.org", entityIdNS="Email")).json()

    assert (await ask(client, entityId=ANN, entityIdNS="ProfileId")).json() == by_email
    assert (await ask(client, entityId=ANN)).json() == by_email


async def test_fields_leave_out_the_rest(client: httpx.AsyncClient) -> None:
    answer = (await ask(client, entityId=ANN, fields="person.name, segmentMembership.ups.shop.version")).json()

    assert answer[ANN]["entity"] == {
        "person": {"name": "Ann"},
        "segmentMembership": {"ups": {"shop": {"version": 1}}},
    }


async def test_an_unknown_profile_is_empty_and_was_modified_in_1970(client: httpx.AsyncClient) -> None:
    answer = await ask(client, entityId="bob@x.org", entityIdNS="Email")

    bob = profile_id("default", "Email", "bob@x.org")
    assert answer.status_code == 200
    assert answer.json() == {
        bob: {"entityId": bob, "sources": [], "entity": {}, "lastModifiedAt": "1970-01-01T00:00:00Z"}
    }


async def test_events_come_oldest_first_with_their_bodies(client: httpx.AsyncClient) -> None:
    answer = await ask_events(client)

    assert answer["_page"] == {"orderby": "+timestamp", "start": "e1", "count": 3, "totalCount": 3, "next": ""}
    assert answer["_links"] == {}
    assert answer["children"][2] == {
        "relatedEntityId": ANN,
        "entityId": "e3",
        "sources": ["web"],
        "timestamp": days(3) // 1000,
        "entity": {"n": 3},
        "lastModifiedAt": "2023-11-17T22:13:20Z",
    }


async def test_the_link_of_a_page_leads_to_the_next(client: httpx.AsyncClient) -> None:
    first = await ask_events(client, orderby="-timestamp", limit=2, fields="n")

    second = (await client.get(first["_links"]["next"]["href"])).json()

    assert [child["entity"] for child in first["children"]] == [{"n": 3}, {"n": 2}]
    assert first["_page"]["next"] == "e1"
    assert [child["entity"] for child in second["children"]] == [{"n": 1}]
    assert (second["_page"]["next"], second["_links"]) == ("", {})


async def test_the_start_time_belongs_to_the_range_and_the_end_time_does_not(client: httpx.AsyncClient) -> None:
    answer = await ask_events(client, startTime=days(1) // 1000, endTime=days(2) // 1000)

    assert [child["entityId"] for child in answer["children"]] == ["e1"]


async def test_an_unknown_profile_has_no_events(client: httpx.AsyncClient) -> None:
    answer = await ask_events(client, relatedEntityId="bob@x.org")

    assert answer["children"] == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            {"schema.name": "_xdm.context.product", "entityId": "1"},
            "_xdm.context.profile, _xdm.context.experienceevent",
        ),
        ({"schema.name": "_xdm.context.profile"}, "`entityId` is missing"),
        ({"schema.name": "_xdm.context.experienceevent"}, "`relatedEntityId` is missing"),
        ({"schema.name": "_xdm.context.profile", "entityId": "1", "mergePolicyId": "x"}, "`mergePolicyId`"),
        ({"schema.name": "_xdm.context.profile", "entityId": "1", "fields": "a..b"}, "'a..b'"),
        ({"schema.name": "_xdm.context.profile", "entityId": "1", "fields": ",".join("a" * 101)}, "at most 100"),
        ({"schema.name": EVENT_SCHEMA, "relatedEntityId": "1", "orderby": "name"}, "+timestamp, -timestamp"),
        ({"schema.name": EVENT_SCHEMA, "relatedEntityId": "1", "relatedSchema.name": "x"}, "_xdm.context.profile"),
        ({"schema.name": EVENT_SCHEMA, "relatedEntityId": "1", "start": "gone"}, "'gone'"),
        ({"entityId": "1"}, "`schema.name` is missing"),
    ],
)
async def test_a_wrong_question_is_told_what_is_accepted(
    client: httpx.AsyncClient, query: dict[str, str], words: str
) -> None:
    answer = await client.get("/ups/access/entities", params=query)

    assert answer.status_code == 400
    assert words in answer.json()["detail"]


async def test_members_are_listed_in_pages_with_their_total(client: httpx.AsyncClient) -> None:
    first = (await client.get("/ups/segments/shop/members", params={"limit": 2})).json()
    second = (await client.get("/ups/segments/shop/members", params={"cursor": first["page"]["next"]})).json()

    assert first == {
        "segmentId": "shop",
        "members": ["a", "b"],
        "page": {"totalCount": 3, "count": 2, "next": "2"},
    }
    assert (second["members"], second["page"]["next"]) == (["c"], None)


async def test_members_are_counted(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ups/segments/shop/count")).json() == {"segmentId": "shop", "count": 3}
    assert (await client.get("/ups/segments/nobody/count")).json() == {"segmentId": "nobody", "count": 0}


async def test_lookups_are_counted_by_outcome(client: httpx.AsyncClient) -> None:
    await ask(client, entityId=ANN)
    await ask_events(client, relatedEntityId="bob@x.org")

    text = (await client.get("/metrics")).text

    assert 'freshet_profile_store_lookups_total{kind="profile",outcome="found"} 1.0' in text
    assert 'freshet_profile_store_lookups_total{kind="events",outcome="unknown"} 1.0' in text
