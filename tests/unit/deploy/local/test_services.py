import importlib
from pathlib import Path

import pytest

from deploy.local.services import BY_NAME, SERVICES, VALUES, Service, address
from deploy.local.settings import CHECKOUT, LocalSettings
from shared.runtime.settings import ServiceSettings

SETTINGS = LocalSettings(home=Path("/srv/freshet"), topic_prefix="t-")


def _settings_class(service: Service) -> type[ServiceSettings]:
    if not (CHECKOUT / "services" / service.name / "__main__.py").exists():
        pytest.skip(f"services.{service.name} does not exist yet")
    module = importlib.import_module(f"services.{service.name}.settings")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value.__module__ == module.__name__
    )
    return found


def test_every_need_is_the_platform_or_a_service_that_needs_none_of_those_waiting_for_it() -> None:
    started: set[str] = {"kafka", "redis"}
    waiting = list(SERVICES)

    while ready := [service for service in waiting if set(service.needs) <= started]:
        started |= {service.name for service in ready}
        waiting = [service for service in waiting if service not in ready]

    assert waiting == []


def test_every_variable_has_a_value_and_every_value_a_service() -> None:
    assert {variable for service in SERVICES for variable in service.variables} == set(VALUES)


def test_a_service_finds_its_database_and_its_peers() -> None:
    environment = BY_NAME["training"].environment(SETTINGS)

    assert environment["FRESHET_TRAINING_DATABASE_URL"] == "sqlite+aiosqlite:////srv/freshet/sql/training.db"
    assert environment["FRESHET_TRAINING_REGISTRY_URL"] == "http://127.0.0.1:8105"
    assert environment["FRESHET_TRAINING_TOPIC_PREFIX"] == "t-"
    assert environment["FRESHET_TRAINING_DATA_DIR"] == "/srv/freshet/training"


def test_the_edge_waits_for_nothing() -> None:
    assert BY_NAME["edge_inference"].needs == ()


def test_a_service_is_ready_when_its_readiness_answers() -> None:
    assert address("scoring", SETTINGS) == "http://127.0.0.1:8106/readyz"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_knows_every_variable_it_is_given(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_class = _settings_class(service)
    for name, value in service.environment(SETTINGS).items():
        monkeypatch.setenv(name, value)

    loaded = settings_class.load()

    assert loaded.http_port == SETTINGS.port(service.name)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_is_given_every_address_and_folder_that_its_settings_have(service: Service) -> None:
    settings_class = _settings_class(service)

    wanted = {name.upper() for name in settings_class.model_fields} & set(VALUES)

    assert set(service.variables) == wanted
