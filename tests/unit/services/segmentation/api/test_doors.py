"""The doors answer in the reference's shapes and say what is wrong with a question. On a real SQLite database."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.segmentation.adapters.store import SqlDefinitionStore, metadata, outbox
from services.segmentation.api import definitions, insight, previews
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.handlers.insight import InsightHandlers
from services.segmentation.handlers.previews import PreviewHandlers
from shared.adapters.sql import Database, Outbox
from shared.contracts.topics import FEATURE_DEFINITIONS, SEGMENT_DEFINITIONS
from shared.kernel.clock import DAY, ManualClock
from shared.kernel.ids import profile_id
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from tests.unit.services.segmentation.builders import BOUGHT_THIS_WEEK, AnySchema, Shop, Tasks

PATH = "/ups/segment/definitions"


@dataclass
class Doors:
    http: httpx.AsyncClient
    shop: Shop
    jobs: Tasks
    defining: DefinitionHandlers

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        response = await self.http.request(method, path, **options)
        assert status == response.status_code, response.text
        return response.json() if response.content else None

    async def define(self, id_: str, expression: str) -> None:
        self.shop.run(await self.defining.define_segment(id_, expression, segment_id=id_))


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/segmentation.db", metadata)
    await database.start()
    store = SqlDefinitionStore(database, Outbox(database, outbox, (SEGMENT_DEFINITIONS, FEATURE_DEFINITIONS)))
    ids = iter(f"id{number}" for number in range(100))
    shop, jobs, wall = Shop(), Tasks(), ManualClock(3 * DAY)
    defining = DefinitionHandlers(store, AnySchema(), wall, lambda: next(ids))
    asking = InsightHandlers(defining, AnySchema(), shop, shop, shop, wall, 1_000)
    previewing = PreviewHandlers(shop, AnySchema(), shop, jobs, wall, lambda: next(ids), 1_000)
    app = create_api("segmentation", "", Health(), CollectorRegistry())
    app.include_router(definitions.routes(defining, shop))
    app.include_router(insight.routes(asking, "t"))
    app.include_router(previews.routes(previewing))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://segmentation") as http:
        yield Doors(http, shop, jobs, defining)
    await database.stop()


def expression(value: Any, format_: str = "pql/text") -> dict[str, Any]:
    return {"expression": {"type": "PQL", "format": format_, "value": value}}


async def test_explain_gives_text_and_figures(doors: Doors) -> None:
    await doors.define("week", BOUGHT_THIS_WEEK)

    sent = await doors.ask("POST", f"{PATH}/explain", json=expression(BOUGHT_THIS_WEEK))
    stored = await doors.ask("GET", f"{PATH}/week/explain")

    assert {"id": "week", "version": 1} | sent == stored
    assert "found by: event type commerce.purchases" in sent["text"]
    assert ["window"] == [leaf["family"] for leaf in sent["leaves"]]
    assert {"stepsPerEventMax", "bytesPerProfileMax"} == set(sent["cost"])


@pytest.mark.parametrize("path", [f"{PATH}/explain", "/ups/segment/conversion"])
async def test_a_wrong_expression_is_answered_with_the_place_underlined(doors: Doors, path: str) -> None:
    problem = await doors.ask("POST", path, 422, json=expression("xEvent[\n  eventType = ]"))

    assert ("syntax", 2, 15, "expression") == tuple(problem[name] for name in ("stage", "line", "column", "reason"))
    assert "  eventType = ]\n" in problem["detail"]
    assert "^" in problem["detail"]


async def test_why_gives_the_tree_with_values_and_events(doors: Doors) -> None:
    await doors.define("week", BOUGHT_THIS_WEEK)
    ann = profile_id("t", "Email", "ann@x.org")
    doors.shop.event("bought", 2 * DAY, profile=ann)

    by_id = await doors.ask("GET", f"{PATH}/week/why", params={"profileId": ann})
    by_identity = await doors.ask("GET", f"{PATH}/week/why", params={"entityId": "ann@x.org", "entityIdNS": "email"})

    assert by_id == by_identity
    assert (True, "1970-01-03T00:00:00Z", "1970-01-04T00:00:00Z") == (
        by_id["member"],
        by_id["since"],
        by_id["evaluatedAt"],
    )
    assert "1970-01-10T00:00:00.000001Z" == by_id["nextChange"] == by_id["tree"]["changesAt"]
    (count,) = by_id["tree"]["parts"]
    assert 1 == count["value"] == count["eventCount"]
    assert ("bought", "commerce.purchases") == (count["events"][0]["id"], count["events"][0]["eventType"])
    assert {"member": True, "asOf": "1970-01-03T00:00:00Z"} == by_id["recorded"]


@pytest.mark.parametrize(
    "query", [{}, {"entityIdNS": "Email"}, {"profileId": "a", "entityId": "b"}, {"profileId": "a", "entityIdNS": "c"}]
)
async def test_why_needs_one_way_to_name_the_profile(doors: Doors, query: dict[str, str]) -> None:
    problem = await doors.ask("GET", f"{PATH}/week/why", 400, params=query)

    assert "profileId, or by entityId with entityIdNS" in problem["detail"]


async def test_why_of_the_unknown_is_404_with_a_sentence(doors: Doors) -> None:
    await doors.define("week", BOUGHT_THIS_WEEK)

    no_segment = await doors.ask("GET", f"{PATH}/month/why", 404, params={"profileId": "p"})
    no_profile = await doors.ask("GET", f"{PATH}/week/why", 404, params={"profileId": "p"})

    assert "there is no segment with id 'month'" == no_segment["detail"]
    assert "there is no profile 'p': no fact of it has been decided on" == no_profile["detail"]


async def test_conversion_goes_both_ways_and_echoes_the_definition(doors: Doors) -> None:
    sent = {"name": "week", "description": "bought", "ttlInDays": 30, "schema": {"name": "_xdm.context.profile"}}

    tree = await doors.ask("POST", "/ups/segment/conversion", json=sent | expression(BOUGHT_THIS_WEEK))
    text = await doors.ask("POST", "/ups/segment/conversion", json=tree)
    again = await doors.ask("POST", "/ups/segment/conversion", json=text)

    assert sent == {name: tree[name] for name in sent}
    assert ("pql/json", "pql/text") == (tree["expression"]["format"], text["expression"]["format"])
    assert tree == again
    assert "fnApply" == json.loads(tree["expression"]["value"])["nodeType"]


async def test_a_segment_may_be_defined_by_its_tree(doors: Doors) -> None:
    tree = await doors.ask("POST", "/ups/segment/conversion", json=expression(BOUGHT_THIS_WEEK))

    defined = await doors.ask("POST", PATH, 201, json={"name": "week", "expression": tree["expression"]})

    assert "pql/text" == defined["expression"]["format"]
    assert "timestamp occurs <= 7 days before now" in defined["expression"]["value"]


async def test_a_preview_runs_and_is_paged(doors: Doors) -> None:
    for number in range(5):
        doors.shop.event(f"e{number}", 2 * DAY, profile=f"p{number}")
    body = {"predicateExpression": BOUGHT_THIS_WEEK, "predicateType": "pql/text", "samplePartitions": 8}
    reference = {"predicateModel": "_xdm.context.profile", "graphType": "none"}

    opened = await doors.ask("POST", "/preview", 202, json=body | reference)
    at_once = await doors.ask("GET", f"/preview/{opened['previewId']}")
    await doors.jobs.ended()
    page = await doors.ask("GET", f"/preview/{opened['previewId']}", params={"limit": 3})
    rest = await doors.ask("GET", f"/preview/{opened['previewId']}", params={"offset": page["page"]["next"]})
    estimate = await doors.ask("GET", f"/estimate/{opened['previewId']}")

    assert ("RUNNING", []) == (at_once["state"], at_once["results"])
    assert {"state", "previewId", "previewExecutionId"} == set(opened)
    assert [f"p{n}" for n in range(5)] == [found["profileId"] for found in page["results"] + rest["results"]]
    assert {"offset": 3, "size": 2, "totalCount": 5, "next": None} == rest["page"]
    assert ("RESULT_READY", 5, 0, "95%") == (
        estimate["state"],
        estimate["estimatedSize"],
        estimate["standardError"],
        estimate["confidenceInterval"],
    )
    assert [{"namespaceId": "Email", "profilesMatchedSoFar": 5}] == estimate["estimatedNamespaceDistribution"]


async def test_a_deleted_preview_is_404(doors: Doors) -> None:
    opened = await doors.ask("POST", "/preview", 202, json={"predicateExpression": BOUGHT_THIS_WEEK})

    await doors.ask("DELETE", f"/preview/{opened['previewId']}", 204)

    for method, path in (("GET", "preview"), ("DELETE", "preview"), ("GET", "estimate")):
        problem = await doors.ask(method, f"/{path}/{opened['previewId']}", 404)
        assert "POST it again" in problem["detail"]


async def test_a_preview_of_a_wrong_expression_is_422_with_its_place(doors: Doors) -> None:
    body = {"predicateExpression": "xEvent[", "predicateType": "pql/text"}

    problem = await doors.ask("POST", "/preview", 422, json=body)

    assert (1, 8) == (problem["line"], problem["column"])
