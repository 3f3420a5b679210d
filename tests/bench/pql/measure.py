"""What the engine costs, in CPU time of this process: no I/O, events already decoded."""

import gc
import time
from collections.abc import Sequence
from itertools import islice
from statistics import median
from typing import Any

from shared.pql import (
    Plan,
    ProfileState,
    Schema,
    SegmentSpec,
    build_plan,
    compile_segment,
    decode_state,
    encode_state,
    evaluate,
    event_hash,
    new_state,
)
from shared.pql.codegen import compile_event
from shared.pql.context import Context
from shared.pql.windows import NEVER
from tests.bench.pql.definitions import Definition
from tests.bench.pql.workload import Workload

BATCH = 1_000
"""Events of a micro-batch; each profile in it is loaded and stored once."""
STORED_EVENTS = 5_000
"""The first events of the workload, which suffice to tell what loading and storing add."""


def specs_of(wanted: Sequence[Definition]) -> list[SegmentSpec]:
    """Compiles the definitions."""
    schema = Schema.permissive()
    return [SegmentSpec(f"s{i}", 1, compile_segment(found.pql, schema)) for i, found in enumerate(wanted)]


def compiling(wanted: Sequence[Definition], extra: Definition) -> tuple[Plan, dict[str, float]]:
    """The plan, and what text → expression, expressions → plan and one more segment cost."""
    started = time.process_time()
    specs = specs_of(wanted)
    compiled = time.process_time()
    plan = build_plan(specs)
    planned = time.process_time()
    _settle_memory()
    planned_again = time.process_time()
    build_plan([*specs, SegmentSpec("extra", 1, compile_segment(extra.pql, Schema.permissive()))], previous=plan)
    added = time.process_time()
    return plan, {
        "compile_ms_per_segment": round((compiled - started) * 1e3 / len(specs), 3),
        "plan_ms_per_segment": round((planned - compiled) * 1e3 / len(specs), 3),
        "add_one_segment_ms": round((added - planned_again) * 1e3, 2),
    }


def one_by_one(plan: Plan, workload: Workload) -> tuple[dict[str, ProfileState], dict[str, float]]:
    """Every event by itself, at its own time; states stay decoded in memory."""
    states = {user: new_state() for user in workload.profiles}
    profiles, changes = workload.profiles, 0
    _settle_memory()
    started = time.process_time()
    for user, event in workload.events:
        outcome = evaluate(plan, states[user], profiles[user], event, event.occurred_at)
        changes += len(outcome.changes)
    seconds = time.process_time() - started
    events, entered = len(workload.events), _entered(plan, workload)
    return states, {
        "us_per_event": round(seconds * 1e6 / events, 2),
        "us_per_changed_leaf": round(seconds * 1e6 / events / max(entered, 0.001), 2),
        "leaves_entered_per_event": round(entered, 2),
        "transitions_per_event": round(changes / events, 3),
    }


def _settle_memory() -> None:
    """Take plan and workload out of the garbage collector's sight: decoded events in stock are this program's alone."""
    gc.collect()
    gc.freeze()


def _entered(plan: Plan, workload: Workload) -> float:
    """Leaves whose condition an event meets, on average."""
    sample = workload.events[:: max(1, len(workload.events) // 5_000)]
    found = 0
    for _, event in sample:
        record = {**event.body, "eventType": event.type, "timestamp": event.occurred_at, "_id": event.id}
        found += sum(1 for _ in plan.index.leaves(record))
    return found / len(sample)


def stored(plan: Plan, workload: Workload, batch: int) -> float:
    """µs per event with states kept as bytes: decoded and encoded once per profile and batch (1: per event)."""
    kept = {user: encode_state(new_state()) for user in workload.profiles}
    profiles, events = workload.profiles, iter(workload.events[:STORED_EVENTS])
    _settle_memory()
    started = time.process_time()
    while some := list(islice(events, batch)):
        loaded: dict[str, ProfileState] = {}
        for user, event in some:
            state = loaded.get(user)
            if state is None:
                state = loaded[user] = decode_state(kept[user])
            evaluate(plan, state, profiles[user], event, event.occurred_at)
        kept.update((user, encode_state(state)) for user, state in loaded.items())
    return round((time.process_time() - started) * 1e6 / len(workload.events[:STORED_EVENTS]), 2)


def sizes(states: dict[str, ProfileState]) -> dict[str, float]:
    """Bytes of the encoded states."""
    found = sorted(len(encode_state(state)) for state in states.values())
    return {
        "state_bytes_median": median(found),
        "state_bytes_p95": found[int(len(found) * 0.95)],
        "state_bytes_mean": round(sum(found) / len(found)),
    }


def codec(states: dict[str, ProfileState]) -> dict[str, float]:
    """µs to encode and to decode one profile's state, as each event of a batch of one costs on top."""
    _settle_memory()
    started = time.process_time()
    encoded = [encode_state(state) for state in states.values()]
    written = time.process_time()
    for found in encoded:
        decode_state(found)
    read = time.process_time()
    return {
        "encode_us_per_profile": round((written - started) * 1e6 / len(encoded), 2),
        "decode_us_per_profile": round((read - written) * 1e6 / len(encoded), 2),
    }


NAIVE = (
    "every segment by itself: tests every event with its own compiled conditions, keeps its own history of each "
    "profile, and is evaluated after every event; nothing is shared among segments, and there is no index"
)


class _Alone:
    """A segment as the naive loop runs it."""

    def __init__(self, spec: SegmentSpec) -> None:
        plan = build_plan([spec])
        self.tests = [
            (compile_event(matcher.predicate), matcher.leaves, matcher.series) for matcher in plan.matchers.values()
        ]
        self.condition = plan.conditions[0].test

    def see(self, states: dict[int, Any], record: dict[str, Any], at: int, event: int) -> None:
        """Puts an event into the segment's own history."""
        for test, leaves, series in self.tests:
            if test(record):
                for leaf in leaves:
                    changed = leaf.insert(states.get(leaf.key), record, at, event, at)
                    if changed is not None:
                        states[leaf.key] = changed
                if series is not None:
                    series.insert(states, at, event, at)


def naive(plan: Plan, workload: Workload, events: int) -> float:
    """µs per event of the loop without index, sharing and dirty marks; see NAIVE.

    Measured on at most `events` events in the middle of the workload, after as many to fill the states.
    """
    segments = [(segment.spec.id, _Alone(segment.spec)) for segment in plan.segments]
    histories: dict[str, list[dict[int, Any]]] = {}
    members: dict[str, dict[str, int]] = {}
    middle = len(workload.events) // 2
    events = min(events, middle)
    part = workload.events[middle - events : middle + events]
    for user, _ in part:
        histories.setdefault(user, [{} for _ in segments])
    _settle_memory()
    started = time.process_time()
    for number, (user, event) in enumerate(part):
        if number == events:
            started = time.process_time()
        hashed, at = event_hash(event.id), event.occurred_at
        record = {**event.body, "eventType": event.type, "timestamp": at, "_id": event.id}
        profile, inside = workload.profiles[user], members.setdefault(user, {})
        context = Context(user, profile.attributes, profile.lists, {}, inside, plan.segment_names, at)
        for states, (id_, segment) in zip(histories[user], segments, strict=True):
            segment.see(states, record, at, hashed)
            context.states, context.until = states, NEVER
            if segment.condition(context):
                inside[id_] = at
            else:
                inside.pop(id_, None)
    return round((time.process_time() - started) * 1e6 / (len(part) - events), 1)
