"""A live scrape of all services holds what the catalogue, the dashboard and the alerts speak of."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.prometheus.catalogue import metrics_of
from tests.architecture.monitoring import Query, alert_queries, panel_queries
from tests.architecture.repository import ROOT, services
from tests.support.platform import free_ports

pytestmark = pytest.mark.platform

_PROMETHEUS = ROOT / "deploy" / "prometheus"
_SCRAPE_LIMIT_S = 60.0


class RunningSystem(Protocol):
    def url(self, service: str) -> str: ...


def _scraped(system: RunningSystem, service: str) -> dict[str, tuple[str, set[str]]]:
    """Returns the type and the labels in use of each metric that a service tells."""
    text = httpx.get(f"{system.url(service)}/metrics", timeout=10).raise_for_status().text
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        name = family.name + "_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels)
    return {name: told for name, told in found.items() if not name.endswith("_created")}


@pytest.mark.parametrize("service", services())
def test_a_service_tells_exactly_what_the_catalogue_lists(system: RunningSystem, service: str) -> None:
    listed = {metric.name: metric for metric in metrics_of(service)}

    scraped = _scraped(system, service)

    assert {name: kind for name, (kind, _) in scraped.items()} == {name: metric.kind for name, metric in listed.items()}
    undeclared = {name: labels - set(listed[name].labels) for name, (_, labels) in scraped.items()}
    assert {name: labels for name, labels in undeclared.items() if labels} == {}


@pytest.mark.parametrize("service", services())
def test_a_scrape_tells_readiness_and_each_dependency(system: RunningSystem, service: str) -> None:
    ready = httpx.get(f"{system.url(service)}/readyz", timeout=10).json()
    text = httpx.get(f"{system.url(service)}/metrics", timeout=10).text
    families = {family.name: family for family in text_string_to_metric_families(text)}

    told = {sample.labels["dependency"] for sample in families["freshet_dependency_ready"].samples}

    assert told == set(ready["checks"])
    assert [sample.value for sample in families["freshet_ready"].samples] == [float(ready["ready"])]


@pytest.fixture(scope="module")
def sample_names(system: RunningSystem) -> set[str]:
    """The names of all samples that Prometheus would store from one scrape of every service."""
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    scraped = [item for service in services() for item in _scraped(system, service).items()]
    return {name + suffix for name, (kind, _) in scraped for suffix in suffixes[kind]} | {"up"}


@pytest.mark.parametrize("query", [*panel_queries(), *alert_queries()], ids=lambda query: query.place)
def test_an_expression_selects_only_what_some_service_tells(sample_names: set[str], query: Query) -> None:
    selected = [selector.names_among(sample_names) for selector in query.parsed.selectors]

    assert selected
    assert all(selected)


async def test_prometheus_scrapes_all_services_and_answers_every_expression(
    system: RunningSystem, tmp_path: Path
) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus); the other tests here do not need it")

    async with _prometheus(program, system, tmp_path) as client:
        await _until_scraped(client)
        answers = {q.place: await _ask(client, "query", query=q.text) for q in (*panel_queries(), *alert_queries())}
        rules = await _ask(client, "rules")

    failed = {place: answer for place, answer in answers.items() if answer["status"] != "success"}
    unhealthy = [r["name"] for g in rules["data"]["groups"] for r in g["rules"] if r["health"] == "err"]
    assert failed == {}
    assert unhealthy == []
    always_there = {place for place, answer in answers.items() if answer["data"]["result"]}
    assert {
        "panel 'Readiness'",
        "panel 'Lag'",
        "panel 'Memory'",
        "panel 'Dependencies'",
        "panel 'Segments'",
    } <= always_there


@asynccontextmanager
async def _prometheus(program: str, system: RunningSystem, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Runs Prometheus with our configuration, its targets replaced by where the services are."""
    configuration = yaml.safe_load((_PROMETHEUS / "prometheus-embedded.yml").read_text(encoding="utf-8"))
    configuration["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [system.url(job["job_name"]).partition("://")[2]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    shutil.copy(_PROMETHEUS / "alerts.yml", folder)
    (port,) = free_ports(1)
    arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    arguments += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    process = await asyncio.create_subprocess_exec(program, *arguments)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=10) as client:
            yield client
    finally:
        process.terminate()
        await process.wait()


async def _until_scraped(client: httpx.AsyncClient) -> None:
    """Waits until every job has answered two scrapes, which rates need."""
    async with asyncio.timeout(_SCRAPE_LIMIT_S):
        while True:
            try:
                answer = await _ask(client, "query", query="count_over_time(up[1m]) >= 3 and up == 1")
                if {series["metric"]["job"] for series in answer["data"]["result"]} == set(services()):
                    return
            except httpx.HTTPError:
                pass  # still starting
            await asyncio.sleep(0.2)


async def _ask(client: httpx.AsyncClient, path: str, **parameters: str) -> Mapping[str, Any]:
    """Returns Prometheus's answer, also when it refuses the question. Raises httpx.HTTPError while it starts."""
    response = await client.get(path, params=parameters)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        response.raise_for_status()
    answer = response.json()
    assert isinstance(answer, dict)
    return answer
