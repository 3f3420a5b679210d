"""Every setting is documented, belongs to one service and has a default that is safe on one machine."""

import pytest

from tests.architecture.repository import default_of, services, settings_of
from tests.architecture.settings_tables import readme_of, table, with_table


@pytest.mark.parametrize("service", services())
def test_every_setting_is_in_the_readme(service: str) -> None:
    text = readme_of(service).read_text(encoding="utf-8")

    assert text == with_table(text, service), "run: python -m tests.architecture.settings_tables --write"


@pytest.mark.parametrize("service", services())
def test_every_setting_says_what_it_is(service: str) -> None:
    silent = [name for name, field in settings_of(service).model_fields.items() if not field.description]

    assert silent == []


@pytest.mark.parametrize("service", services())
def test_settings_are_frozen_and_know_their_prefix(service: str) -> None:
    config = settings_of(service).model_config

    assert config["env_prefix"] == f"FRESHET_{service.upper()}_"
    assert config["frozen"] is True
    assert config["extra"] == "forbid"


@pytest.mark.parametrize("service", services())
def test_nothing_listens_beyond_loopback_unless_told_to(service: str) -> None:
    assert default_of(service, "http_host") == "127.0.0.1"


def test_every_service_has_a_port_of_its_own() -> None:
    ports = [default_of(service, "http_port") for service in services()]

    assert len(set(ports)) == len(ports)


def test_a_table_names_bounds_and_defaults() -> None:
    lines = table("edge_inference").splitlines()

    assert (
        "| `FRESHET_EDGE_INFERENCE_IN_FLIGHT_MAX` | integer ≥ 1, ≤ 65536 | `256` "
        "| Requests worked on at once; more are answered 503 at once. |"
    ) in lines


def test_text_around_a_table_is_kept() -> None:
    once = with_table("# edge\n\nwords\n", "edge_inference")

    again = with_table(once + "\n## More\n", "edge_inference")

    assert again == once + "\n## More\n"
    assert once.startswith("# edge\n\nwords\n\n## Settings\n")
