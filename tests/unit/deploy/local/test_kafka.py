from pathlib import Path

from deploy.local.java import Java
from deploy.local.kafka import command, environment, render_properties, server_properties
from deploy.local.settings import LocalSettings


def test_the_broker_listens_on_loopback_only() -> None:
    properties = server_properties(LocalSettings(kafka_port=5001, kafka_controller_port=5002))

    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:5001,CONTROLLER://127.0.0.1:5002"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:5001"


def test_nothing_is_replicated_and_no_topic_appears_by_itself() -> None:
    properties = server_properties(LocalSettings())

    factors = {name: value for name, value in properties.items() if name.endswith("replication.factor")}
    assert set(factors.values()) == {"1"}
    assert len(factors) == 4
    assert properties["auto.create.topics.enable"] == "false"


def test_a_path_beyond_ascii_is_escaped_as_java_reads_it() -> None:
    assert render_properties({"log.dirs": "/srv/ö 𝄞"}) == "log.dirs=/srv/\\u00f6 \\ud834\\udd1e\n"


def test_a_changed_port_changes_the_program_so_that_it_is_restarted() -> None:
    assert environment(LocalSettings()) != environment(LocalSettings(kafka_port=5001))


def test_options_of_newer_runtimes_are_not_given_to_older_ones() -> None:
    def options(version: int) -> list[str]:
        return command(LocalSettings(), Java(Path("java"), version), [Path("a.jar"), Path("b.jar")])

    assert "--sun-misc-unsafe-memory-access=allow" in options(25)
    assert "--sun-misc-unsafe-memory-access=allow" not in options(17)
    assert "a.jar:b.jar" in options(17)
