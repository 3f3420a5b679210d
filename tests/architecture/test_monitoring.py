"""Every metric is documented and every metric that is asked for exists; alerts lead to runbooks."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
import yaml

from deploy.local.settings import LocalSettings
from deploy.prometheus import catalogue
from shared.contracts.topics import KEYED_PARTITIONS
from tests.architecture.monitoring import (
    ALERTS,
    Query,
    alert_queries,
    alert_rules,
    dashboard,
    panel_queries,
    unknown,
)
from tests.architecture.repository import ROOT, default_of, services

METRICS = catalogue.catalogue()
PROMETHEUS = ROOT / "deploy" / "prometheus"


def test_the_catalogue_covers_every_service() -> None:
    assert {metric.service for metric in METRICS} == set(services())


def test_every_metric_is_documented() -> None:
    text = catalogue.README.read_text(encoding="utf-8")

    assert text == catalogue.with_table(text), "run: python -m deploy.prometheus.catalogue --write"


def test_metric_names_carry_their_service_and_unit() -> None:
    shared_by_all = {"freshet_ready", "freshet_dependency_ready", "freshet_asyncio_tasks", "freshet_model_info"}
    own = [metric for metric in METRICS if not metric.name.startswith("process_") and metric.name not in shared_by_all]

    misnamed = [metric.name for metric in own if not metric.name.startswith(f"freshet_{metric.service}_")]
    unhelpful = [metric.name for metric in METRICS if not metric.doc.endswith(".")]

    assert misnamed == []
    assert unhelpful == []


def test_labels_are_never_about_one_person() -> None:
    personal = {"profile", "profile_id", "event", "event_id", "identity", "tenant", "user", "segment", "key"}

    assert [metric.name for metric in METRICS if personal & set(metric.labels)] == []


@pytest.mark.parametrize("query", [*panel_queries(), *alert_queries()], ids=lambda query: query.place)
def test_what_is_asked_for_exists(query: Query) -> None:
    assert unknown(query, METRICS) == []


def test_a_misspelt_metric_or_label_is_caught() -> None:
    wrong_name = Query("x", 'sum(rate({__name__=~"freshet_(scoring|scorings)_records_total"}[1m]))')
    wrong_label = Query("x", 'sum by (shape) (freshet_model_info{colour="red"})')

    assert unknown(wrong_name, METRICS) == ["x: no metric is called freshet_scorings_records_total"]
    assert unknown(wrong_label, METRICS) == [
        "x: freshet_model_info has no label colour",
        "x: nothing here has a label shape",
    ]
    assert unknown(replace(wrong_label, text="freshet_model_info"), METRICS) == []


def test_panels_have_titles_units_and_places_of_their_own() -> None:
    panels = dashboard()["panels"]
    charts = [panel for panel in panels if panel["type"] != "row"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in charts if not panel["fieldConfig"]["defaults"].get("unit")] == []
    assert [panel["title"] for panel in charts if not panel.get("description")] == []
    assert _overlaps(panels) == []


def _overlaps(panels: list[dict[str, dict[str, int]]]) -> list[tuple[object, object]]:
    taken: dict[tuple[int, int], object] = {}
    found: list[tuple[object, object]] = []
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = [
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        ]
        found += [(taken[cell], panel["title"]) for cell in cells if cell in taken]
        taken |= dict.fromkeys(cells, panel["title"])
    return found


def test_the_dashboard_names_the_provisioned_data_source() -> None:
    provisioned = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    (source,) = provisioned["datasources"]

    named = {target["datasource"]["uid"] for panel in dashboard()["panels"] for target in panel.get("targets", ())}

    assert named == {source["uid"]}


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_leads_to_its_runbook(rule: dict[str, dict[str, str]]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)

    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_alerts_know_the_number_of_partitions() -> None:
    (rule,) = (rule for rule in alert_rules() if rule["alert"] == "PartitionsUnowned")

    assert rule["expr"].endswith(f"< {KEYED_PARTITIONS}")


def _targets(file: str) -> dict[str, list[str]]:
    jobs = yaml.safe_load((PROMETHEUS / file).read_text(encoding="utf-8"))["scrape_configs"]
    return {job["job_name"]: [t for group in job["static_configs"] for t in group["targets"]] for job in jobs}


def test_prometheus_scrapes_every_service_of_compose_at_its_port() -> None:
    expected = {service: [f"{service}:{default_of(service, 'http_port')}"] for service in services()}

    assert _targets("prometheus.yml") == expected


def test_prometheus_scrapes_every_service_of_the_embedded_platform() -> None:
    local = LocalSettings.model_construct()
    expected = {service: [f"{local.host}:{local.port(service)}"] for service in services()}

    assert _targets("prometheus-embedded.yml") == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "config", "prometheus-embedded.yml"),
        ("check", "rules", ALERTS.name),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_our_files(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus); the other tests here do not need it")

    checked = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
