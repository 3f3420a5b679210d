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
    build_plan([*specs, SegmentSpec("extra", 1, compile_segment(extra.pql, Schema.permissive()))], previous=plan)
    added = time.process_time()
    return plan, {
        "compile_ms_per_segment": round((compiled - started) * 1e3 / len(specs), 3),
        "plan_ms_per_segment": round((planned - compiled) * 1e3 / len(specs), 3),
        "add_one_segment_ms": round((added - planned) * 1e3, 2),
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


def naive(plan: Plan, workload: Workload, events: int) -> float:
    """µs per event of the loop without index and dirty marks: every leaf tests every event with its whole compiled
    condition, then every segment is evaluated. Leaves are shared as in the plan, an advantage for this loop.

    Measured on at most `events` events in the middle of the workload, after as many to fill the states. An event that
    meets two steps of a sequence enters it once, which costs the same.
    """
    tests = [
        (compile_event(matcher.predicate), [*((leaf, 1) for leaf in matcher.leaves), *matcher.steps])
        for matcher in plan.matchers.values()
    ]
    segments = [(segment.spec.id, segment.condition) for segment in plan.segments]
    states: dict[str, tuple[dict[int, Any], dict[str, int]]] = {}
    middle = len(workload.events) // 2
    events = min(events, middle)
    part = workload.events[middle - events : middle + events]
    started = time.process_time()
    for number, (user, event) in enumerate(part):
        if number == events:
            started = time.process_time()
        leaves, members = states.setdefault(user, ({}, {}))
        hashed, at = event_hash(event.id), event.occurred_at
        record = {**event.body, "eventType": event.type, "timestamp": at, "_id": event.id}
        for test, matched in tests:
            if test(record):
                for leaf, bits in matched:
                    changed = leaf.insert(leaves.get(leaf.key), record, at, hashed, at, bits)
                    if changed is not None:
                        leaves[leaf.key] = changed
        profile = workload.profiles[user]
        context = Context(user, profile.attributes, profile.lists, leaves, members, plan.segment_names, at)
        for id_, condition in segments:
            context.until = NEVER
            if condition(context):
                members[id_] = at
            else:
                members.pop(id_, None)
    return round((time.process_time() - started) * 1e6 / (len(part) - events), 1)
