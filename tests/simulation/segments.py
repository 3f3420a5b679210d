"""Schedules of the real segmentation stage: its published transitions against the naive evaluator's.

The naive evaluator is asked at every instant at which anything might change: when a fact arrives, and when an event
comes to or leaves an age that a segment asks for.
"""

import json
from collections.abc import Sequence
from typing import Any

from services.segmentation import stream
from services.segmentation.domain.definitions import compile_definitions
from services.segmentation.domain.state import StateCodec
from shared.contracts import redis_keys
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.topics import EVENTS, SEGMENT_MEMBERSHIPS
from shared.pql import Schema, compile_segment
from shared.runtime.driver import TopologyDriver
from shared.runtime.stage import Stage
from shared.runtime.state import unframe
from tests.simulation.broker import Stored
from tests.simulation.host import NAMESPACE
from tests.simulation.plan import PARTITIONS
from tests.simulation.world import World
from tests.support.naive.evaluate import NaiveEvent, holds
from tests.support.naive.evaluate import World as Naive

Told = tuple[int, str, str]
"""A transition: when, segment, `entered` or `exited`."""

_AGES = (1_000_000, 3_000_000)
_TEXTS = {
    "buyers": 'xEvent[eventType = "buy"].count() > 0',
    "fresh": 'xEvent[eventType = "buy" and timestamp occurs <= 1 seconds before now].count() > 0',
    "lookers": 'xEvent[timestamp occurs <= 3 seconds before now].count() >= 2 and not inSegment("fresh")',
    "heavy": "xEvent.map(amount).sum() > 1",
}
_QUERIES = {name: compile_segment(text, Schema.permissive()).query for name, text in _TEXTS.items()}
_DEFINITIONS = compile_definitions(
    [SegmentDefinition(name, name, text, 1) for name, text in _TEXTS.items()], (), Schema.permissive()
)


def segmentation_stage() -> Stage[Any, Any]:
    return stream.stage(lambda: _DEFINITIONS)


def check(world: World) -> None:
    """Checks one ended schedule of segmentation."""
    driver = _replayed(world)
    for partition in range(PARTITIONS):
        if partition in world.refused:
            continue
        log = world.broker.logs[EVENTS.name, partition]
        if world.fence_offset(partition) != len(log) - 1:
            world.violate(
                "I4", f"the fence of {partition} stands at {world.fence_offset(partition)}, not {len(log) - 1}"
            )
        facts, clock = _facts(log)
        published = _published(world, partition)
        for profile in sorted({fact["profile_id"] for fact in facts} | published.keys()):
            own = [fact for fact in facts if fact["profile_id"] == profile]
            told, members = _naive(profile, own, clock)
            found = published.get(profile, [])
            if not _alternates(found):
                world.violate("I6", f"{profile} enters or leaves twice in {found}")
            if _net(found) != _net(told):
                world.violate("I6", f"{profile}, repeats dropped: {_net(found)}, not {_net(told)}")
            _compare(world, driver, partition, profile, members)


def _compare(world: World, driver: TopologyDriver, partition: int, profile: str, members: set[str]) -> None:
    """I3 by the naive evaluator; I8 by the in-memory driver, which read the same log without a fault."""
    key = redis_keys.state(NAMESPACE, world.stage.name, partition, profile).encode()
    raw = world.redis.data.get(key)
    if raw is None:
        world.violate("I2", f"{profile} has no state")
        return
    state = StateCodec().decode(unframe(raw)[1])
    if set(state.engine.members) != members:
        world.violate("I3", f"{profile} is in {sorted(state.engine.members)}, not {sorted(members)}")
    replayed = driver.state(world.stage, profile)
    if StateCodec().encode(state) != StateCodec().encode(replayed):
        world.violate("I8", f"{profile} is {state}, replayed it is {replayed}")


def _replayed(world: World) -> TopologyDriver:
    driver = TopologyDriver(world.stage)
    for partition in range(PARTITIONS):
        for stored in world.broker.logs[EVENTS.name, partition]:
            driver.send(EVENTS, stored.key.decode() if stored.key else None, stored.value, (), partition)
    driver.settle()
    world.note("replays compared")
    return driver


def _facts(log: Sequence[Stored]) -> tuple[list[dict[str, Any]], int]:
    facts: list[dict[str, Any]] = []
    clock = 0
    for stored in log:
        try:
            fact = json.loads(stored.value or b"")
        except ValueError:
            continue
        clock = max(clock, fact["received_at"] + (fact["type"] == "tick"))
        if fact["type"] != "tick":
            facts.append(fact)
    return facts, clock


def _published(world: World, partition: int) -> dict[str, list[Told]]:
    """Transitions by profile in the order they came out, repeats dropped."""
    known: dict[str, dict[str, Told]] = {}
    for stored in world.broker.logs[SEGMENT_MEMBERSHIPS.name, partition]:
        value = json.loads(stored.value or b"")
        own = known.setdefault(value["profile_id"], {})
        for change in value["transitions"]:
            told = change["effective_at"], change["segment_id"], change["change"]
            if own.setdefault(change["id"], told) != told:
                world.violate("I6", f"{change['id']} says {told}, said {own[change['id']]} before")
    return {profile: list(own.values()) for profile, own in known.items()}


def _alternates(told: list[Told]) -> bool:
    """Each segment is entered first, then left, and so on; instants never go back."""
    members: set[str] = set()
    for _, segment, change in told:
        if (segment in members) is (change == "entered"):
            return False
        members.symmetric_difference_update({segment})
    return [at for at, *_ in told] == sorted(at for at, *_ in told)


def _net(told: list[Told]) -> list[Told]:
    """What each instant came to: a fact and a deadline of the very same microsecond are judged one after the other."""
    changes: dict[tuple[int, str], list[str]] = {}
    for at, segment, change in told:
        changes.setdefault((at, segment), []).append(change)
    return sorted((at, segment, own[-1]) for (at, segment), own in changes.items() if len(own) % 2)


def _naive(profile: str, facts: Sequence[dict[str, Any]], clock: int) -> tuple[list[Told], set[str]]:
    told: list[Told] = []
    members: set[str] = set()
    events: list[NaiveEvent] = []

    def judge(now: int) -> None:
        world = Naive(now, profile, ((0, {}),), tuple(events), segments=_QUERIES)
        for name, query in _QUERIES.items():
            if holds(query, world) is not (name in members):
                told.append((now, name, "exited" if name in members else "entered"))
                members.symmetric_difference_update({name})

    for fact, following in zip(facts, [*facts[1:], None], strict=True):
        now, until = fact["received_at"], clock if following is None else following["received_at"]
        body = fact["body"]
        events.append(NaiveEvent(fact["id"], fact["occurred_at"], body["eventType"], body))
        judge(now)
        ages = {event.occurred_at + age + more for event in events for age in (0, *_AGES) for more in (0, 1)}
        for at in sorted(at for at in ages if now < at < until):
            judge(at)
    return told, members
