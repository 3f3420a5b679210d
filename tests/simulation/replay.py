"""I8 for the ledger: the log of a schedule that is over, read again without a fault into an empty Redis."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from shared.contracts import redis_keys
from shared.contracts.topics import EVENTS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.runtime.context import Limits
from shared.runtime.state import unframe
from tests.simulation.host import NAMESPACE
from tests.simulation.ledger import ledger_stage
from tests.simulation.plan import PARTITIONS, Arrival
from tests.simulation.world import World

SHARE = 8
"""One schedule in so many is read again."""


def check(world: World) -> None:
    """Compares states bit by bit, and outputs by their ids: equal ids have equal content."""
    if world.plan.seed % SHARE or world.plan.wall or not world.plan.time_is_sound or world.refused or world.violations:
        return
    world.note("ledger replays compared")
    again = _again(world)
    for violation in again.violations:
        world.violate("I8", f"read again without faults, the log gives {violation}")
    states, outputs = _states(world), _outputs(world)
    if states != (found := _states(again)):
        keys = sorted(key for key in states.keys() | found.keys() if states.get(key) != found.get(key))
        world.violate("I8", f"the states {keys} are others when the log is read again")
    if outputs != (told := _outputs(again)):
        ids = sorted(id_ for id_ in outputs.keys() | told.keys() if outputs.get(id_) != told.get(id_))
        world.violate("I8", f"the outputs {ids} are others when the log is read again")


def _again(world: World) -> World:
    logs = [stored for partition in range(PARTITIONS) for stored in world.broker.logs[EVENTS.name, partition]]
    arrivals = tuple(Arrival(0.0, stored.partition, stored.key, stored.value) for stored in logs)
    quiet: Mapping[str, Any] = {"faults": (), "redrive": False, "feed": False, "workers": 1}
    other = World(
        replace(world.plan, **quiet, arrivals=arrivals, limits=Limits(batch_rows_max=3), fetch_rows=2), ledger_stage()
    )
    other.run()
    return other


def _states(world: World) -> dict[bytes, bytes]:
    prefixes = tuple(
        redis_keys.state(NAMESPACE, world.stage.name, partition, "").encode() for partition in range(PARTITIONS)
    )
    return {key: unframe(raw)[1] for key, raw in world.redis.data.items() if key.startswith(prefixes)}


def _outputs(world: World) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for topic in (PROFILE_UPDATES, SEGMENT_MEMBERSHIPS):
        for partition in range(PARTITIONS):
            for stored in world.broker.logs[topic.name, partition]:
                id_, *content = msgspec.json.decode(stored.value or b"")
                found[f"{topic.name} {id_}"] = content
    return found
