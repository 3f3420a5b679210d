"""One-line cases of the language, judged by the engine and by the naive evaluator alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.pql import (
    Event,
    FeatureSpec,
    Profile,
    Schema,
    SegmentSpec,
    build_plan,
    compile_feature,
    compile_segment,
    due,
    evaluate,
    new_state,
    read_features,
)
from shared.pql.instants import parse_instant
from shared.pql.parser import parse
from tests.support.naive.evaluate import NaiveEvent, World, holds

PERMISSIVE = Schema.permissive()
NOW = "2024-02-29T12:00:00Z"

Happening = tuple[str, str, Mapping[str, Any]]
"""An event as (instant, type, body)."""


def instant(text: str) -> int:
    found = parse_instant(text)
    assert found is not None
    return found


def judged(
    text: str,
    attributes: Mapping[str, Any] | None = None,
    events: Sequence[Happening] = (),
    now: str = NOW,
    others: Mapping[str, str] | None = None,
) -> bool:
    """Whether the condition holds beside `others` (segments by name); asserts that engine and naive evaluator agree."""
    at = instant(now)
    profile = Profile("u1", attributes or {}, frozenset({"vip"}))
    texts = {**(others or {}), "s": text}
    plan = build_plan([SegmentSpec(name, 1, compile_segment(one, PERMISSIVE)) for name, one in texts.items()])
    state = evaluate(plan, new_state(), profile, None, at).state
    for number, (when, type_, body) in enumerate(events):
        state = evaluate(plan, state, profile, Event(f"e{number}", instant(when), type_, body), at).state
    answer = "s" in due(plan, state, profile, at).state.members
    naive = [NaiveEvent(f"e{number}", instant(when), type_, body) for number, (when, type_, body) in enumerate(events)]
    queries = {name: parse(one) for name, one in texts.items()}
    world = World(at, "u1", ((at, attributes or {}),), naive, frozenset({"vip"}), queries)
    assert answer is holds(queries["s"], world)
    return answer


def measured(
    text: str, attributes: Mapping[str, Any] | None = None, events: Sequence[Happening] = (), now: str = NOW
) -> float | None:
    """The value of a feature."""
    at = instant(now)
    profile = Profile("u1", attributes or {})
    plan = build_plan([], [FeatureSpec("f", compile_feature(text, PERMISSIVE))])
    state = new_state()
    for number, (when, type_, body) in enumerate(events):
        state = evaluate(plan, state, profile, Event(f"e{number}", instant(when), type_, body), at).state
    return read_features(plan, state, profile, at)["f"]
