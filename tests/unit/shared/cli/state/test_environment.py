"""Where the operator's commands find Kafka and Redis, and how they may prove who they are."""

import argparse
from pathlib import Path

import pytest

from shared.adapters.kafka_access import KafkaAccess
from shared.cli.segments.errors import WrongInput
from shared.cli.state.connection import Connection
from shared.cli.state.environment import read_environment


def options(**given: str | None) -> argparse.Namespace:
    return argparse.Namespace(**{"kafka": None, "prefix": None, **given})


def test_the_environment_says_how_kafka_is_reached_and_options_go_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BOOTSTRAP_SERVERS": "elsewhere:9092",
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "SCRAM-SHA-512",
        "SASL_USERNAME": "operator",
        "SASL_PASSWORD": "open sesame",
        "SSL_CAFILE": "ca.pem",
    }.items():
        monkeypatch.setenv(f"FRESHET_KAFKA_{name}", value)
    monkeypatch.setenv("FRESHET_CLI_TOPIC_PREFIX", "t-")
    monkeypatch.setenv("KAFKA_SSL_KEYFILE", "of another program")

    connection = Connection.of(options(kafka="broker:9093", namespace="green"))

    assert connection.kafka_access == KafkaAccess(
        "broker:9093", "SASL_SSL", "SCRAM-SHA-512", "operator", "open sesame", "ca.pem"
    )
    assert ("t-", "green") == (connection.topic_prefix, connection.redis_namespace)


def test_a_password_may_stand_in_a_file_without_its_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n")

    found = read_environment({"FRESHET_KAFKA_SASL_PASSWORD_FILE": str(file)})

    assert {"kafka_sasl_password": "open sesame"} == found


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"FRESHET_KAFKA_SASL_MECHANIS": "PLAIN"}, "did you mean FRESHET_KAFKA_SASL_MECHANISM?"),
        ({"FRESHET_CLI_KAFKA_BOOTSTRAP_SERVERS": "b"}, "did you mean FRESHET_KAFKA_BOOTSTRAP_SERVERS?"),
        ({"FRESHET_KAFKA_GROUP_INSTANCE_ID": "w"}, "FRESHET_KAFKA_GROUP_INSTANCE_ID is not a setting of freshet"),
        ({"FRESHET_KAFKA_SASL_PASSWORD_FILE": "none/such"}, "none/such, which cannot be read"),
        ({"FRESHET_KAFKA_SASL_PASSWORD_FILE": "f", "FRESHET_KAFKA_SASL_PASSWORD": "p"}, "both set: keep one"),
    ],
)
def test_what_makes_no_sense_is_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(WrongInput, match=said.replace("?", r"\?")):
        read_environment(environment)


def test_a_wrong_value_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_KAFKA_SECURITY_PROTOCOL", "TLS")

    with pytest.raises(WrongInput, match="FRESHET_KAFKA_SECURITY_PROTOCOL: Input should be"):
        Connection.of(options())
