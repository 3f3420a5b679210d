"""A small stage with everything the runtime has to carry: sums, duplicates, memberships that lapse, views, poison.

A profile is a member from its first fact until `LIMIT_US` of log time have passed without another. Entering and
leaving are transitions with ids that depend on nothing but what caused them.
"""

from typing import Any

import msgspec

from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.kernel.clock import Micros
from shared.kernel.ids import digest_id
from shared.runtime.stage import Batch, Effects, Output, Stage, ViewWrite

LIMIT_US = 1_000_000
IDS_MAX = 64


class Ledger(msgspec.Struct):
    """One profile. `now`: log time (µs) up to which it is true; `until`: when membership lapses, 0 for none."""

    events: int = 0
    duplicates: int = 0
    total: float = 0.0
    now: int = 0
    until: int = 0
    sequence: int = 0
    lapses: int = 0
    ids: list[str] = []


class LedgerCodec:
    def encode(self, state: Ledger) -> bytes:
        return msgspec.msgpack.encode(state)

    def decode(self, raw: bytes) -> Ledger:
        return msgspec.msgpack.decode(raw, type=Ledger)


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A transition on `segment-memberships`."""

    id: str
    profile: str
    sequence: int
    change: str
    at: int


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One applied fact on `profile-updates`."""

    id: str
    profile: str
    events: int
    total: float


def step(batch: Batch[Fact, Ledger]) -> Effects[Ledger]:
    """Applies facts and deadlines. A fact with `body.poison` raises, after it has spoilt the state it was given."""
    effects: Effects[Ledger] = Effects()
    states = dict(batch.states)
    for record in batch.records:
        fact = record.value
        if fact.type != "tick":
            _apply(effects, record.key, states.setdefault(record.key, Ledger()), fact, record.reached)
    for due in batch.due:
        held = states.get(due.key)
        if held is None:
            effects.deadlines[due.key] = None
        else:
            _lapse(effects, due.key, held, due.at)
            _keep(effects, due.key, held)
    return effects


def _apply(effects: Effects[Ledger], key: str, state: Ledger, fact: Fact, reached: int) -> None:
    _lapse(effects, key, state, max(state.now, fact.received_at, reached) - 1)
    state.now = max(state.now, fact.received_at)
    if fact.id in state.ids:
        state.duplicates += 1
    else:
        state.ids = [*state.ids, fact.id][-IDS_MAX:]
        state.events += 1
        state.total += fact.body.get("amount", 0.0)
        if fact.body.get("poison"):
            raise ValueError(f"poisoned by {fact.id}")
        entry = Entry(fact.id, key, state.events, state.total)
        effects.outputs.append(Output(PROFILE_UPDATES, key, msgspec.json.encode(entry)))
        if not state.until:
            _change(effects, key, state, "entered", state.now)
        state.until = state.now + LIMIT_US
    _keep(effects, key, state)


def _lapse(effects: Effects[Ledger], key: str, state: Ledger, reached: int) -> None:
    if state.until and state.until <= reached:
        state.lapses += 1
        state.now = max(state.now, state.until)
        _change(effects, key, state, "exited", state.until)
        state.until = 0


def _keep(effects: Effects[Ledger], key: str, state: Ledger) -> None:
    effects.states[key] = state
    effects.deadlines[key] = Micros(state.until) if state.until else None


def _change(effects: Effects[Ledger], key: str, state: Ledger, change: str, at: int) -> None:
    state.sequence += 1
    made = Change(digest_id(key, change, str(at)), key, state.sequence, change, at)
    effects.outputs.append(Output(SEGMENT_MEMBERSHIPS, key, msgspec.json.encode(made)))
    effects.views.append(ViewWrite("add" if change == "entered" else "remove", "members", key.encode()))


def ledger_stage() -> Stage[Any, Any]:
    return Stage("ledger", EVENTS, step, (PROFILE_UPDATES, SEGMENT_MEMBERSHIPS), LedgerCodec(), log_time=_log_time)


def _log_time(fact: Fact) -> int:
    return fact.log_time
