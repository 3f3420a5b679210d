"""Fixtures that every kind of test may use: the real data, one embedded platform, one whole system."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local import platform as local
from tests.support.platform import EmbeddedPlatform
from tests.support.system import System
from tests.support.workers import ProcessesTogether

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The simulator comes last: it takes both cores, which the worker with the processes needs less and less."""
    items.sort(key=lambda item: item.path.is_relative_to(ROOT / "tests" / "simulation"))


@pytest.hookimpl(optionalhook=True)  # asked by `pytest -n` only
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ProcessesTogether:
    return ProcessesTogether(config, log)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets beside the project; tests that need it skip where it is absent."""
    if not (DATA / "oracles_dev.json").is_file():
        pytest.skip("the real data sets are not beside the project (../shared/data)")
    return DATA


@pytest.fixture(scope="session")
def platform() -> Iterator[EmbeddedPlatform]:
    """Kafka and Redis for the session; topic prefixes and Redis namespaces keep tests apart."""
    with EmbeddedPlatform.started() as embedded:
        yield embedded


@pytest.fixture(scope="session")
def system(platform: EmbeddedPlatform) -> System:
    """All services on the session's Kafka and Redis, on the wall clock."""
    local.start(platform.settings, local.ALL_SERVICES)
    return System(platform)
