"""docker-compose.yml agrees with the code and is hardened. No Docker runs here: the file is read, not started."""

import copy
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from deploy.local.services import BY_NAME
from shared.kernel.errors import Fatal
from tests.architecture.compose_policy import environment_file, interpolated, violations
from tests.architecture.repository import ROOT, default_of, services, settings_of

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
VARIABLES = environment_file((ROOT / ".env.example").read_text(encoding="utf-8"))
PLATFORM = {"kafka", "topics", "redis", "postgres", "prometheus", "grafana"}
_TOP_LEVEL = {"name", "services", "networks", "volumes"}


def environment_of(service: str) -> dict[str, str]:
    found = interpolated(COMPOSE["services"][service]["environment"], VARIABLES)
    return {name: str(value) for name, value in found.items()}


def test_every_service_and_nothing_else_is_there() -> None:
    assert set(COMPOSE["services"]) == PLATFORM | set(services())
    assert {key for key in COMPOSE if not key.startswith("x-")} == _TOP_LEVEL


@pytest.mark.parametrize("service", services())
def test_the_environment_is_exactly_what_the_settings_take(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = settings_of(service)
    environment = environment_of(service)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = model.load()

    prefix = str(model.model_config["env_prefix"])
    assert prefix == BY_NAME[service].prefix
    assert [name for name in environment if not name.startswith(prefix)] == []
    assert settings.model_fields_set == {name.removeprefix(prefix).lower() for name in environment}
    assert settings.http_host == "0.0.0.0"


@pytest.mark.parametrize("service", services())
def test_a_service_gets_at_least_what_the_embedded_platform_gives_it(service: str) -> None:
    unprefixed = {name.removeprefix(BY_NAME[service].prefix) for name in environment_of(service)}

    # Containers of one service may be several, which must not share a name in their group.
    assert set(BY_NAME[service].variables) - unprefixed <= {"TOPIC_PREFIX", "KAFKA_GROUP_INSTANCE_ID"}


@pytest.mark.parametrize("service", services())
def test_a_service_listens_on_its_port_and_publishes_it(service: str) -> None:
    port = default_of(service, "http_port")

    assert environment_of(service)[f"{BY_NAME[service].prefix}HTTP_PORT"] == str(port)
    assert COMPOSE["services"][service]["ports"] == [f"127.0.0.1:{port}:{port}"]


@pytest.mark.parametrize("service", services())
def test_a_service_is_built_from_the_one_dockerfile(service: str) -> None:
    build = COMPOSE["services"][service]["build"]

    assert build == {"context": ".", "dockerfile": "deploy/docker/Dockerfile", "args": {"SERVICE": service}}


@pytest.mark.parametrize("service", services())
def test_a_service_reaches_others_at_their_ports(service: str) -> None:
    addresses = {"kafka": 9092, "redis": 6379, "postgres": 5432}
    addresses |= {other: int(str(default_of(other, "http_port"))) for other in services()}
    named = re.compile(r"(?:^|//|@)([a-z_]+):(\d+)(?:/|$)")

    reached = {host: int(port) for value in environment_of(service).values() for host, port in named.findall(value)}

    assert {host: port for host, port in reached.items() if addresses.get(host) != port} == {}
    waited_for = set(COMPOSE["services"][service].get("depends_on", {})) - {"topics"}
    assert waited_for == (set() if service == "edge_inference" else set(reached))


@pytest.mark.parametrize("service", services())
def test_what_a_service_keeps_on_disk_is_a_volume(service: str) -> None:
    keeps = f"{BY_NAME[service].prefix}DATA_DIR" in environment_of(service)
    volumes = COMPOSE["services"][service].get("volumes", [])

    assert [volume.partition(":")[2] for volume in volumes] == (["/data"] if keeps else [])


def test_each_service_has_a_database_of_its_own() -> None:
    keeps_sql = {service for service in services() if "database_url" in settings_of(service).model_fields}
    script = (ROOT / "deploy/docker/postgres/create-databases.sh").read_text(encoding="utf-8")
    created = re.search(r"^for service in (.+); do$", script, re.MULTILINE)

    assert created is not None
    assert set(created.group(1).split()) == keeps_sql
    for service in keeps_sql:
        url = environment_of(service)[f"{BY_NAME[service].prefix}DATABASE_URL"]
        password = VARIABLES[f"{service.upper()}_DATABASE_PASSWORD"]
        assert url == f"postgresql+asyncpg://{service}:{password}@postgres:5432/{service}"
        assert environment_of("postgres")[f"{service.upper()}_DATABASE_PASSWORD"] == password


def test_volumes_and_networks_are_declared_and_used() -> None:
    named = {str(v).partition(":")[0] for s in COMPOSE["services"].values() for v in s.get("volumes", ())}
    files = {name for name in named if name.startswith("./")}
    networks = {network for service in COMPOSE["services"].values() for network in service["networks"]}

    assert named - files == set(COMPOSE["volumes"])
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    assert networks == set(COMPOSE["networks"])
    assert COMPOSE["networks"]["backend"] == {"internal": True}


def test_what_publishes_a_port_is_in_a_network_that_leads_out() -> None:
    cut_off = [n for n, s in COMPOSE["services"].items() if s.get("ports") and "host" not in s["networks"]]

    assert cut_off == []


def test_every_variable_of_the_file_is_in_the_example_and_the_other_way_round() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")

    assert set(re.findall(r"\$\{(\w+)", text)) == set(VARIABLES)


def test_the_broker_is_labelled_as_not_durable() -> None:
    kafka = COMPOSE["services"]["kafka"]

    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert kafka["labels"]["freshet.durability"].startswith("none")


def test_redis_keeps_a_log_and_never_evicts() -> None:
    script = (ROOT / "deploy/docker/redis.sh").read_text(encoding="utf-8")

    assert "--appendonly yes" in script
    assert "--maxmemory-policy noeviction" in script
    assert script.index("redis-check-aof --fix") < script.index("exec redis-server")


def test_every_rule_holds() -> None:
    assert violations(COMPOSE) == []


SEEDED: Mapping[str, tuple[str, str, Any]] = {
    "cap_drop must be [ALL]": ("scoring", "cap_drop", ["NET_RAW"]),
    "cap_add gives capabilities back": ("scoring", "cap_add", ["SYS_ADMIN"]),
    "security_opt lacks no-new-privileges:true": ("redis", "security_opt", []),
    "privileged is not allowed": ("kafka", "privileged", True),
    "runs as root: name a user by its number": ("postgres", "user", "root"),
    "the root file system must be read_only": ("training", "read_only", False),
    "tmpfs must offer /tmp": ("grafana", "tmpfs", []),
    "tmpfs /tmp has no size": ("grafana", "tmpfs", ["/tmp"]),
    "./deploy of the host must be mounted read-only": ("grafana", "volumes", ["./deploy:/deploy"]),
    "mem_limit is missing": ("ingestion", "mem_limit", None),
    "pids_limit must lie between 1 and 1024": ("ingestion", "pids_limit", -1),
    "logging must rotate (max-size, max-file)": ("ingestion", "logging", {"driver": "json-file"}),
    "port 8101:8101 is published beyond loopback": ("ingestion", "ports", ["8101:8101"]),
    "image 'redis:latest' is not pinned to a version": ("redis", "image", "redis:latest"),
    "has no healthcheck": ("redis", "healthcheck", {"disable": True}),
    "is not restarted": ("redis", "restart", "no"),
    "POSTGRES_PASSWORD holds a secret in the file": ("postgres", "environment", {"POSTGRES_PASSWORD": "x"}),
    "depends_on must give conditions": ("scoring", "depends_on", ["kafka"]),
    "waits for kafka without its health": ("scoring", "depends_on", {"kafka": {"condition": "service_started"}}),
    "depends on nats, which does not exist": ("scoring", "depends_on", {"nats": {"condition": "service_healthy"}}),
    "waits for topics in a way that never comes true": (
        "scoring",
        "depends_on",
        {"topics": {"condition": "service_healthy"}},
    ),
}


@pytest.mark.parametrize("expected", SEEDED)
def test_a_seeded_mistake_is_caught(expected: str) -> None:
    service, key, value = SEEDED[expected]
    spoilt = copy.deepcopy(COMPOSE)
    spoilt["services"][service][key] = value

    found = violations(spoilt)

    assert f"{service}: {expected}" in found


def test_a_missing_password_is_refused() -> None:
    with pytest.raises(KeyError, match="POSTGRES_ADMIN_PASSWORD: set it"):
        interpolated(COMPOSE["services"]["postgres"], {})


def test_a_variable_that_no_setting_knows_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of("scoring").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FRESHET_SCORING_REDISURL", "redis://redis")

    with pytest.raises(Fatal, match="did you mean FRESHET_SCORING_REDIS_URL"):
        settings_of("scoring").load()
