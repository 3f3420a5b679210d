"""The embedded platform gives services what they take."""

import pytest

from deploy.local.services import BY_NAME
from deploy.local.settings import LocalSettings
from tests.architecture.repository import default_of, services, settings_of


def test_it_runs_every_service() -> None:
    assert set(BY_NAME) == set(services())


@pytest.mark.parametrize("service", services())
def test_it_sets_only_variables_that_the_service_knows(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = BY_NAME[service].environment(LocalSettings.model_construct())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    loaded = settings_of(service).load()

    assert len(loaded.model_fields_set) == len(environment)


@pytest.mark.parametrize("service", services())
def test_its_ports_are_the_defaults_of_the_services(service: str) -> None:
    assert LocalSettings.model_construct().port(service) == default_of(service, "http_port")
