from configparser import RawConfigParser
from pathlib import Path

import pytest

from deploy.local.errors import PlatformError
from deploy.local.java import Java
from deploy.local.programs import Program, platform_programs, render, service_program
from deploy.local.redis_server import RedisServer
from deploy.local.services import BY_NAME
from deploy.local.settings import LocalSettings

SETTINGS = LocalSettings(home=Path("/srv/50% of all/freshet"))


def _parsed(text: str) -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(text)
    return parser


def _program(name: str = "kafka") -> Program:
    return Program(name, ["run", "it"], stop_timeout_s=7, environment={"A": "1 2"})


def test_services_start_after_the_platform_and_stop_before_it() -> None:
    config = _parsed(render(SETTINGS, [_program("kafka"), _program("redis")], [_program("scoring")]))

    assert config["group:platform"]["programs"] == "kafka,redis"
    assert config["group:services"]["programs"] == "scoring"
    assert int(config["group:platform"]["priority"]) < int(config["group:services"]["priority"])


def test_services_are_not_started_before_their_topics_exist() -> None:
    config = _parsed(render(SETTINGS, [_program("kafka")], [_program("scoring")]))

    assert config["program:kafka"]["autostart"] == "true"
    assert config["program:scoring"]["autostart"] == "false"


def test_only_a_configuration_error_is_not_tried_again() -> None:
    config = _parsed(render(SETTINGS, [_program()], []))

    assert (config["program:kafka"]["autorestart"], config["program:kafka"]["exitcodes"]) == ("unexpected", "78")


def test_percent_signs_survive_the_expansion_of_the_supervisor() -> None:
    config = _parsed(render(SETTINGS, [_program()], []))

    assert config["program:kafka"]["stdout_logfile"] == "/srv/50%% of all/freshet/logs/kafka.log"


def test_a_value_that_the_file_would_cut_off_is_refused() -> None:
    with pytest.raises(PlatformError, match="cannot carry file=/srv/freshet #2"):
        render(LocalSettings(home=Path("/srv/freshet #2")), [_program()], [])


def test_without_services_there_is_no_empty_group() -> None:
    assert "group:services" not in render(SETTINGS, [_program()], [])


def test_a_service_waits_only_for_those_that_are_started_with_it() -> None:
    def needs(*chosen: str) -> list[str]:
        return list(service_program(BY_NAME["segmentation"], SETTINGS, chosen).needs)

    assert needs("segmentation") == ["kafka://127.0.0.1:19092", "redis://127.0.0.1:16379"]
    assert needs("segmentation", "ingestion")[-1] == "http://127.0.0.1:8101/readyz"


def test_the_broker_may_take_twice_as_long_to_stop_as_a_service() -> None:
    server = RedisServer(Path("redis-server"), 7)

    programs = platform_programs(LocalSettings(stop_timeout_s=10), Java(Path("java"), 25), [Path("a.jar")], server)

    assert {program.name: program.stop_timeout_s for program in programs} == {"kafka": 20, "redis": 10}
