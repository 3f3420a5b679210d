"""Where the runtime's own tests run their workers."""

import pytest

from tests.support.counting import WorkerSettings
from tests.support.counting_run import new_namespace
from tests.support.platform import EmbeddedPlatform


@pytest.fixture
async def settings(platform: EmbeddedPlatform) -> WorkerSettings:
    """A namespace of its own on the session's Kafka and Redis, with its topics made."""
    return await new_namespace(platform)
