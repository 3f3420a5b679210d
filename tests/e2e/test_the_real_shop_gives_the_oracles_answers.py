"""Half a million real events through the whole running system, each service killed once on the way.

The answers were computed by others from the same data (`oracles_dev.json`): counts and md5 of the member ids.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.tally import members_md5
from deploy.local import platform as local
from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings
from deploy.local.supervision import Supervisor
from shared.cli.sources.choose import choose_source
from shared.cli.sources.source import Datasets
from shared.contracts.memberships import Transition
from shared.contracts.topics import SEGMENT_MEMBERSHIPS
from shared.kernel.clock import parse_instant
from shared.kernel.ids import profile_id
from tests.conftest import ROOT
from tests.support.platform import free_settings
from tests.support.topic_reading import read_topic

pytestmark = [pytest.mark.platform, pytest.mark.data, pytest.mark.timeout(1500)]

AT = parse_instant("2020-12-29T12:00:00Z")
AT_THE_END = {"ltv_150": "G05_ltv_ge_150", "lapsed_buyers": "G06_lapsed_buyers_14d", "multi_device": "G12_multi_device"}
AT_NOON = {"open_cart": "G04_open_cart_7d", "new_and_back": "G07_new_and_back_24h"}
VICTIMS = ("segmentation", "profile_store", "ingestion", "scoring", "model_registry", "edge_inference", "training")


@dataclass(frozen=True)
class Replay:
    """A finished run: its summary, every transition by profile, and which services were killed."""

    summary: dict[str, Any]
    transitions: list[tuple[str, Transition]]
    killed: list[str]
    people: dict[str, str]

    def members_at(self, segment: str, instant: int) -> set[str]:
        """Source ids of those in a segment at `instant`: deadlines at it have fired, facts at it have not come."""
        members: set[str] = set()
        for profile, transition in sorted(self.transitions, key=lambda pair: pair[1].effective_at):
            by_deadline = transition.cause.kind == "deadline"
            if transition.segment_id == segment and transition.effective_at < instant + by_deadline:
                (members.add if transition.change == "entered" else members.discard)(self.people[profile])
        return members


@pytest.fixture(scope="module")
def replay(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Replay:
    folder = tmp_path_factory.mktemp("replay")
    settings = free_settings(folder / "home")
    summary = folder / "summary.json"
    try:
        killed = run_demo(settings, data / "ga4_merch_store", summary)
        transitions = asyncio.run(read_transitions(settings))
    finally:
        local.stop(settings)
    return Replay(json.loads(summary.read_text()), transitions, killed, people_of(data / "ga4_merch_store"))


def run_demo(settings: LocalSettings, folder: Path, summary: Path) -> list[str]:
    """Runs the demo as a user would, killing one service at each tenth of the way; returns whom it killed."""
    ports = {k: v for k, v in settings.model_dump().items() if k.endswith("_port") or k == "home"}
    environment = os.environ | {f"FRESHET_LOCAL_{name.upper()}": str(value) for name, value in ports.items()}
    command = [sys.executable, "-m", "deploy.demo", "--data", str(folder), "--summary", str(summary)]
    waiting = list(VICTIMS)
    killed: list[str] = []
    lines: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            progress = re.search(r"\((\d+)%\)", line)
            if waiting and progress and int(progress[1]) >= 10 * (len(killed) + 1):
                os.kill(Supervisor(Layout(settings.home)).states()[waiting[0]].pid, signal.SIGKILL)
                killed.append(waiting.pop(0))
    assert process.returncode == 0, "".join(lines[-40:])
    return killed


async def read_transitions(settings: LocalSettings) -> list[tuple[str, Transition]]:
    """Reads all of `segment-memberships`; repeats of a transition's id count once."""
    found: dict[str, tuple[str, Transition]] = {}
    for record in await read_topic(settings.kafka_bootstrap_servers, SEGMENT_MEMBERSHIPS.name):
        value = SEGMENT_MEMBERSHIPS.codec.decode(record.value)
        found |= {t.id: (value.profile_id, t) for t in value.transitions}
    return list(found.values())


def people_of(folder: Path) -> dict[str, str]:
    """Profile id to source id, for everybody in the data."""
    identities = {event.identity for event in choose_source(folder, 0, 0).read(Datasets("e", "p"))}
    return {profile_id("default", identity.namespace, identity.id): identity.id for identity in identities}


@pytest.fixture(scope="module")
def oracles(data: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((data / "oracles_dev.json").read_text())
    return {oracle["id"].removeprefix("GA4DEV."): oracle for oracle in found}


def answer(ids: Iterable[str]) -> tuple[int, str]:
    known = list(ids)
    return len(known), members_md5(known)


def test_every_service_was_killed_once_and_all_events_were_decided(
    replay: Replay, oracles: dict[str, dict[str, Any]]
) -> None:
    totals = oracles["totals"]

    assert list(VICTIMS) == replay.killed
    assert (totals["rows"], totals["users"]) == (replay.summary["events"], replay.summary["profiles"])


def test_members_at_the_end_are_those_of_the_oracle(replay: Replay, oracles: dict[str, dict[str, Any]]) -> None:
    """Lifetime value, lapsed buyers (entries and exits by time alone) and people with several devices."""
    expected = {name: (oracles[id_]["count"], oracles[id_]["md5"]) for name, id_ in AT_THE_END.items()}

    segments = replay.summary["segments"]

    assert expected == {name: (segments[name]["members"], segments[name]["md5"]) for name in AT_THE_END}


def test_members_at_an_instant_in_the_middle_are_those_of_the_oracle(
    replay: Replay, oracles: dict[str, dict[str, Any]]
) -> None:
    """Open carts and new visitors who came back, at noon of the eleventh day."""
    expected = {name: (oracles[id_]["count"], oracles[id_]["md5"]) for name, id_ in AT_NOON.items()}

    assert expected == {name: answer(replay.members_at(name, AT)) for name in AT_NOON}


def test_open_carts_are_as_many_each_midnight_as_the_oracle_says(
    replay: Replay, oracles: dict[str, dict[str, Any]]
) -> None:
    sizes = dict(map(tuple, replay.summary["series"]["open_cart"]))
    expected = dict(map(tuple, oracles["G14_open_cart_by_day"]["series"]))

    assert expected == {instant: sizes[instant] for instant in expected}


def test_transitions_alternate_and_end_in_the_members_that_the_summary_tells(replay: Replay) -> None:
    changes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for profile, transition in sorted(replay.transitions, key=lambda pair: pair[1].effective_at):
        changes[profile, transition.segment_id].append(transition.change)

    not_alternating = {k for k, found in changes.items() if found != (["entered", "exited"] * len(found))[: len(found)]}
    inside: defaultdict[str, int] = defaultdict(int)
    for (_, segment), found in changes.items():
        inside[segment] += found[-1] == "entered"

    assert set() == not_alternating
    assert {name: s["members"] for name, s in replay.summary["segments"].items()} == {
        name: inside[name] for name in replay.summary["segments"]
    }


def test_a_model_was_trained_checked_and_its_scores_written(replay: Replay) -> None:
    assert replay.summary["model"]["auc"] > 0.8
    assert replay.summary["model"]["parity_max_abs"] <= 1e-5
    assert replay.summary["scores"] >= replay.summary["profiles"]
