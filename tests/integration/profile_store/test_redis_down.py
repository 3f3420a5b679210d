"""Lookups while Redis does not answer."""

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.profile_store.adapters.members import RedisMembers
from services.profile_store.adapters.profiles import RedisProfiles
from services.profile_store.api import routes
from services.profile_store.handlers import Lookups
from services.profile_store.metrics import ProfileStoreMetrics
from shared.adapters.redis import RedisClient
from shared.runtime.health import Health
from shared.runtime.http_host import create_api


@pytest.mark.parametrize(
    "path",
    [
        "/ups/access/entities?schema.name=_xdm.context.profile&entityId=1",
        "/ups/segments/shop/members",
        "/ups/segments/shop/count",
    ],
)
async def test_lookups_ask_to_come_back_while_redis_is_down(path: str) -> None:
    registry, redis = CollectorRegistry(), RedisClient("redis://127.0.0.1:9/0")
    app = create_api("profile_store", "", Health(), registry)
    lookups = Lookups(RedisProfiles(redis, "test"), RedisMembers(redis, "test"), "default")
    app.include_router(routes(lookups, ProfileStoreMetrics(registry)))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://store") as client:
        answer = await client.get(path)
    await redis.client.aclose()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "cannot be read from Redis" in answer.json()["detail"]
