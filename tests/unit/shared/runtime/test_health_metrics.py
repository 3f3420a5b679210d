"""A scrape tells readiness and each dependency, so that both have a history."""

import httpx
from prometheus_client import CollectorRegistry

from shared.kernel.errors import Retryable
from shared.runtime.health import Health
from shared.runtime.http_host import create_api


async def _scraped(health: Health) -> set[str]:
    app = create_api("scoring", "", health, CollectorRegistry())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        text = (await client.get("/metrics")).text
    lines = {line for line in text.splitlines() if line.startswith("freshet_")}
    return {line for line in lines if not line.startswith("freshet_asyncio_tasks ")}


async def _answers() -> None:
    return


async def _does_not_answer() -> None:
    raise Retryable("no broker")


async def test_a_ready_process_tells_one_for_everything() -> None:
    health = Health(started=True)
    health.add("kafka", _answers)

    lines = await _scraped(health)

    assert lines == {
        "freshet_ready 1.0",
        'freshet_dependency_ready{dependency="kafka"} 1.0',
        'freshet_dependency_ready{dependency="process"} 1.0',
    }


async def test_an_optional_dependency_is_told_without_making_the_process_unready() -> None:
    health = Health(started=True)
    health.add("redis", _does_not_answer, optional=True)

    lines = await _scraped(health)

    assert {"freshet_ready 1.0", 'freshet_dependency_ready{dependency="redis"} 0.0'} <= lines


async def test_a_process_whose_dependency_does_not_answer_is_not_ready() -> None:
    health = Health(started=True)
    health.add("kafka", _does_not_answer)

    assert "freshet_ready 0.0" in await _scraped(health)


async def test_a_scrape_tells_how_many_tasks_the_event_loop_has() -> None:
    app = create_api("scoring", "", Health(started=True), CollectorRegistry())

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        text = (await client.get("/metrics")).text

    (line,) = [line for line in text.splitlines() if line.startswith("freshet_asyncio_tasks ")]
    assert float(line.split()[1]) >= 1
