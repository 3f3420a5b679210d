"""Segments over real data, written as PQL, have the very members the oracles name."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.cli.sources.ga4 import Ga4Source
from shared.cli.sources.luma import LumaSource
from shared.cli.sources.source import Datasets
from shared.kernel.clock import parse_instant
from shared.pql import (
    Event,
    Profile,
    ProfileState,
    Schema,
    SegmentSpec,
    build_plan,
    compile_segment,
    due,
    evaluate,
    new_state,
)

DATA = Path(__file__).parents[4] / "shared" / "data"
FOLDER = Path(__file__).parent / "oracles"
# The instants the oracles are defined at: T for those of the open week, the end of the data for the others.
T, END = "2020-12-29T12:00:00Z", "2021-01-05T00:00:00Z"
AT_T = ("G02", "G04", "G07")

pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the real data sets do not lie beside the project")


def oracles(prefix: str) -> dict[str, dict[str, object]]:
    found = json.loads((DATA / "oracles_dev.json").read_text())
    return {one["id"].split(".")[1]: one for one in found if one["id"].startswith(prefix) and one["kind"] == "segment"}


def specs(folder: str) -> list[SegmentSpec]:
    texts = {path.stem: path.read_text() for path in sorted((FOLDER / folder).glob("*.pql"))}
    return [SegmentSpec(name, 1, compile_segment(text, Schema.permissive())) for name, text in texts.items()]


class Replay:
    """All profiles of a data set, replayed in order of arrival."""

    def __init__(self, folder: str) -> None:
        self.plan = build_plan(specs(folder))
        self.states: dict[str, ProfileState] = {}

    def feed(self, id_: str, event: Event, now: int) -> None:
        state = self.states.get(id_) or new_state()
        self.states[id_] = evaluate(self.plan, state, Profile(id_, {}), event, now).state

    def digests(self, now: int) -> dict[str, tuple[int, str]]:
        members: dict[str, list[str]] = {spec.spec.id: [] for spec in self.plan.segments}
        for id_, state in self.states.items():
            for segment in due(self.plan, state, Profile(id_, {}), now).state.members:
                members[segment].append(id_)
        return {
            name: (len(ids), hashlib.md5("\n".join(sorted(ids)).encode()).hexdigest()) for name, ids in members.items()
        }


def events(source: Ga4Source | LumaSource) -> Iterator[tuple[str, Event, int]]:
    for number, sent in enumerate(source.read(Datasets("events", "profiles"))):
        entity = sent.message.body.xdm_entity
        event = Event(f"{number}", parse_instant(entity["timestamp"]), entity.get("eventType", ""), entity)
        yield sent.identity.id, event, sent.received_at


@needs_data
def test_the_google_merchandise_store_segments_have_the_members_the_oracles_name() -> None:
    replay, truth = Replay("ga4"), oracles("GA4DEV")
    at, end = parse_instant(T), parse_instant(END)
    found: dict[str, tuple[int, str]] = {}

    for id_, event, now in events(Ga4Source(DATA / "ga4_merch_store")):
        if now >= at and not found:
            found = replay.digests(at)
        replay.feed(id_, event, now)
    at_end = replay.digests(end)
    found = {name: found[name] if name[:3] in AT_T else at_end[name] for name in at_end}

    assert {name: (truth[name]["count"], truth[name]["md5"]) for name in found} == found


@needs_data
def test_the_luma_segments_have_the_members_the_oracles_name() -> None:
    replay, truth = Replay("luma"), oracles("LU")

    for id_, event, now in events(LumaSource(DATA / "luma")):
        replay.feed(id_, event, now)
    found = replay.digests(parse_instant("2018-12-25T00:00:00Z"))

    assert {name: (truth[name]["count"], truth[name]["md5"]) for name in found} == found
