"""What must hold when a schedule is over. Each check is named after the invariant it is.

I1 what was acknowledged is in the log. I2 states equal the fold, bit by bit. I3 memberships equal the fold's.
I4 the fence stands at the log's end, no state lies beyond it. I5 every record is applied, a repeat, or a dead letter.
I6 transitions, repeats dropped, equal the oracle's in order, alternate and have no holes. I7 (on the way) no foreign
key is touched. I8 a replay of the log into an empty Redis gives the same state. I9 a dead letter, repaired and sent
again, counts as if it had never failed. I10 no state holds NaN or infinity.
"""

import json
import math
from collections import Counter
from typing import Any

import msgspec

from shared.contracts import redis_keys
from shared.contracts.topics import EVENTS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.runtime.state import unframe
from tests.simulation.host import NAMESPACE
from tests.simulation.ledger import Ledger
from tests.simulation.oracle import Account, Expected, fold
from tests.simulation.plan import PARTITIONS
from tests.simulation.world import World


def check(world: World) -> None:
    """Checks one ended schedule of the ledger."""
    for partition in range(PARTITIONS):
        if partition in world.refused:
            continue
        log = world.broker.logs[EVENTS.name, partition]
        expected = fold(log, world.plan.wall)
        states = _states(world, partition)
        _i4(world, partition, states)
        _i2_i10(world, partition, states, expected)
        _i3(world, partition, states, expected)
        _i5(world, partition, expected, states)
        _i6(world, partition, expected)


def _states(world: World, partition: int) -> dict[str, tuple[int, Ledger]]:
    prefix = redis_keys.state(NAMESPACE, world.stage.name, partition, "").encode()
    found: dict[str, tuple[int, Ledger]] = {}
    for key, raw in world.redis.data.items():
        if key.startswith(prefix):
            offset, encoded = unframe(raw)
            found[key[len(prefix) :].decode()] = offset, msgspec.msgpack.decode(encoded, type=Ledger)
    return found


def _i2_i10(world: World, partition: int, states: dict[str, tuple[int, Ledger]], expected: Expected) -> None:
    if states.keys() != expected.accounts.keys():
        world.violate("I2", f"partition {partition} has states of {sorted(states)}, not {sorted(expected.accounts)}")
        return
    for key, account in sorted(expected.accounts.items()):
        _, state = states[key]
        found = [state.events, state.duplicates, state.total]
        wanted = [account.events, account.duplicates, account.total]
        if world.plan.time_is_sound:
            found += [state.until, state.lapses, state.sequence]
            wanted += [account.until, account.lapses, len(account.transitions)]
        elif state.sequence != 2 * state.lapses + bool(state.until):
            world.violate("I2", f"{key} has left {state.lapses} times, but changed {state.sequence} times")
        if found != wanted:
            world.violate("I2", f"{key} is {found}, not {wanted} (events, repeats, total, until, lapses, sequence)")
        if not math.isfinite(state.total):
            world.violate("I10", f"{key} has the total {state.total}")


def _i3(world: World, partition: int, states: dict[str, tuple[int, Ledger]], expected: Expected) -> None:
    """Views and the index of deadlines are what the fold says, or where time is not sound, what the states say."""
    untils = {key: account.until for key, account in expected.accounts.items() if account.until}
    if not world.plan.time_is_sound:
        untils = {key: state.until for key, (_, state) in states.items() if state.until}
    name = redis_keys.view(NAMESPACE, world.stage.name, partition, "members").encode()
    found = {member.decode() for member in world.redis.data.get(name, ())}
    if found != untils.keys():
        world.violate("I3", f"partition {partition} has the members {sorted(found)}, not {sorted(untils)}")
    name = redis_keys.deadlines(NAMESPACE, world.stage.name, partition).encode()
    index = {key.decode(): int(score) for key, score in world.redis.data.get(name, {}).items()}
    if index != untils:
        world.violate("I3", f"partition {partition} has the deadlines {index}, not {untils}")


def _i4(world: World, partition: int, states: dict[str, tuple[int, Ledger]]) -> None:
    end = world.broker.end(EVENTS.name, partition)
    fence = world.fence_offset(partition)
    if fence != end - 1:
        world.violate("I4", f"the fence of partition {partition} stands at {fence}, not {end - 1}")
    beyond = sorted(key for key, (offset, _) in states.items() if offset > fence)
    if beyond:
        world.violate("I4", f"states {beyond} lie beyond the fence {fence}")


def _i5(world: World, partition: int, expected: Expected, states: dict[str, tuple[int, Ledger]]) -> None:
    letters = Counter(_original_offset(letter.headers) for letter in world.broker.logs[EVENTS.dlq_name, partition])
    if letters.keys() != expected.refused.keys():
        world.violate("I5", f"dead letters of partition {partition}: {sorted(letters)}, not {sorted(expected.refused)}")
    log = world.broker.logs[EVENTS.name, partition]
    for letter in world.broker.logs[EVENTS.dlq_name, partition]:
        source = log[_original_offset(letter.headers)]
        if (source.key, source.value) != (letter.key, letter.value):
            world.violate("I5", f"the dead letter of {partition}@{source.offset} is not the record that was refused")
    applied = sum(state.events + state.duplicates for _, state in states.values())
    if len(log) != applied + len(letters) + expected.ticks:
        sums = f"{applied} applied or repeated, {len(letters)} dead letters, {expected.ticks} ticks"
        world.violate("I5", f"partition {partition} has {len(log)} records, but {sums}")


def _original_offset(headers: tuple[tuple[str, bytes], ...]) -> int:
    return int.from_bytes(dict(headers)["kafka_dlt-original-offset"], "big")


def _i6(world: World, partition: int, expected: Expected) -> None:
    topics = (PROFILE_UPDATES.name, SEGMENT_MEMBERSHIPS.name)
    for topic in topics if world.plan.time_is_sound else topics[:1]:
        seen: dict[str, dict[str, list[Any]]] = {}
        for stored in world.broker.logs[topic, partition]:
            id_, profile, *content = json.loads((stored.value or b"").decode())
            known = seen.setdefault(profile, {})
            if id_ in known:
                world.note("outputs repeated")
                if known[id_] != content:
                    world.violate("I6", f"{topic}: {id_} of {profile} says {content}, said {known[id_]} before")
            known.setdefault(id_, content)
        for profile in sorted(seen.keys() | expected.accounts.keys()):
            account = expected.accounts.get(profile, Account())
            if topic == SEGMENT_MEMBERSHIPS.name:
                found = [list(content) for content in seen.get(profile, {}).values()]
                wanted = [[number, *told] for number, told in enumerate(account.transitions, 1)]
            else:
                found = [[content[0], id_] for id_, content in seen.get(profile, {}).items()]
                wanted = [[number, id_] for number, id_ in enumerate(account.entries, 1)]
            if found != wanted:
                world.violate("I6", f"{topic} of {profile}, repeats dropped: {found}, not {wanted}")
