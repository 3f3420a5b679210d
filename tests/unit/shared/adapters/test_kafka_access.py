"""TLS and SASL settings reach every Kafka client, and secrets stay out of logs."""

from pathlib import Path
from ssl import SSLContext

import pytest
from faust import SASLCredentials
from pydantic import SecretStr

from shared.adapters.kafka import Producer
from shared.adapters.kafka_access import KafkaAccess, client_options
from shared.adapters.kafka_group import stage_consumer
from shared.kernel.errors import Fatal
from shared.runtime.control import control_app
from shared.runtime.feed import FeedSettings


def secured(**fields: object) -> FeedSettings:
    return FeedSettings(
        kafka_bootstrap_servers="broker:9093",
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="freshet",
        kafka_sasl_password=SecretStr("secret"),
        **fields,  # type: ignore[arg-type]
    )


def test_a_plain_address_asks_for_neither_tls_nor_sasl() -> None:
    assert {"bootstrap_servers": "broker:9092"} == client_options("broker:9092")
    assert {"bootstrap_servers": "broker:9092"} == KafkaAccess("broker:9092").options()


def test_settings_become_the_options_of_every_client() -> None:
    options = secured().kafka_access.options()

    context = options.pop("ssl_context")
    assert isinstance(context, SSLContext)
    assert {
        "bootstrap_servers": "broker:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "freshet",
        "sasl_plain_password": "secret",
    } == options


async def test_consumer_producer_and_the_faust_app_are_built_from_them() -> None:
    settings = secured()

    consumer = stage_consumer(settings.kafka_access, "group", 10_000, instance_id="worker-1")
    app = control_app("secured", settings)

    assert "SASL_SSL" == consumer._client._security_protocol
    assert "worker-1" == consumer._group_instance_id
    credentials = app.conf.broker_credentials
    assert isinstance(credentials, SASLCredentials)
    assert ("freshet", "secret") == (credentials.username, credentials.password)
    assert Producer(settings.kafka_access) is not None


def test_the_password_is_shown_nowhere() -> None:
    access = secured().kafka_access

    assert "secret" not in repr(access)
    assert "secret" not in repr(secured())


def test_a_certificate_file_that_is_missing_is_named(tmp_path: Path) -> None:
    access = secured(kafka_ssl_cafile=str(tmp_path / "roots.pem")).kafka_access

    with pytest.raises(Fatal, match=r"roots\.pem"):
        access.options()
