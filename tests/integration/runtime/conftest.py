"""Where the runtime's own tests run their workers."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from deploy.local import redis_server
from deploy.local.errors import PlatformError
from tests.support.counting import WorkerSettings
from tests.support.counting_run import new_namespace
from tests.support.platform import EmbeddedPlatform
from tests.support.redis_cluster import LocalCluster


@pytest.fixture
async def settings(platform: EmbeddedPlatform) -> WorkerSettings:
    """A namespace of its own on the session's Kafka and Redis, with its topics made."""
    return await new_namespace(platform)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Three masters and a replica, for one test."""
    try:
        redis_server.find_server()
    except PlatformError as error:
        pytest.skip(f"a cluster needs a Redis server: {error}")
    with capture_logs(), LocalCluster.started() as started:
        yield started
