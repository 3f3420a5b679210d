"""Explanations: how an expression will be run (`explain`), and why a profile is in a segment or not (`why`)."""

from dataclasses import dataclass
from typing import Any

from shared.pql.codegen import compile_condition
from shared.pql.context import Context
from shared.pql.core import Apply, Attribute, Const, Core, Each, Get, Since
from shared.pql.cost import estimate, latest_change
from shared.pql.describe import constant, describe, instant, leaf
from shared.pql.errors import PlanError
from shared.pql.evaluator import Profile
from shared.pql.history import recalls, references
from shared.pql.index import Matcher, matcher_of
from shared.pql.leaves.base import LeafSpec, Recall
from shared.pql.making import content_key, leaf_key, make_leaf
from shared.pql.plan import Expression, Plan
from shared.pql.state import ProfileState
from shared.pql.windows import NEVER


def explain(subject: Expression | Plan) -> str:
    """The plan in words: the condition over its leaves, and for each leaf its index, bound and last change by time."""
    if isinstance(subject, Plan):
        return _explain_plan(subject)
    worst = estimate(subject.planned)
    specs = sorted(recalls(subject.planned), key=leaf)
    lines = [f"value: {subject.core.type}", f"condition: {_condition(subject.planned, specs)}"]
    for number, spec in enumerate(specs, start=1):
        lines += _explain_leaf(f"L{number}", spec)
    referred = sorted(references(subject.planned))
    if referred:
        lines.append(f"refers to segments: {', '.join(referred)}")
    lines.append(f"at worst: {worst.steps:,} steps for one event, {worst.bytes:,} bytes for one profile")
    return "\n".join(lines)


def _condition(planned: Core, specs: list[LeafSpec]) -> str:
    text = describe(planned)
    # Longest first, so that a leaf whose text is part of another's does not cut it.
    for number, spec in sorted(enumerate(specs, start=1), key=lambda pair: -len(leaf(pair[1]))):
        text = text.replace(leaf(spec), f"L{number}")
    return text


def _explain_leaf(name: str, spec: LeafSpec) -> list[str]:
    matcher = matcher_of(spec.predicate)
    return [
        f"{name}: {leaf(spec)}",
        f"    family: {spec.family}, key {leaf_key(spec):016x}",
        f"    found by: {_access(matcher)}",
        f"    keeps: {_kept(spec)}",
        f"    last change by time: {latest_change(spec)}",
    ]


def _access(matcher: Matcher) -> str:
    parts = [f"event type {' or '.join(matcher.types)}" if matcher.types else "every event type"]
    if matcher.equality is not None:
        path, values = matcher.equality
        parts.append(f"{'.'.join(path)} equal to {' or '.join(values)}")
    parts.append("the rest of its condition" if matcher.test is not None else "no further test")
    return ", then ".join(parts)


def _kept(spec: LeafSpec) -> str:
    if spec.family == "tally":
        return "one accumulator, and events of the future"
    fields = f", fields {', '.join(sorted(spec.names))}" if spec.names is not None else ""
    return f"at most {spec.entries:,} entries{fields}"


def _explain_plan(plan: Plan) -> str:
    lines = [f"{len(plan.segments)} segments, {len(plan.features)} features, {len(plan.leaves)} leaves"]
    lines += [f"{len(plan.matchers)} conditions on events, {len(plan.on_profile)} segments look at the profile"]
    readers = {key: len(found) for key, found in plan.readers.items()}
    for spec, planned_leaf in sorted(plan.leaves.items(), key=lambda pair: leaf(pair[0])):
        lines.append(f"- {leaf(spec)} (read by {readers.get(planned_leaf.key, 0)} segments)")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A part of a condition with its value; `changes_at` is when time alone may change it, `events` what it counted.

    `events` are event hashes (see `event_hash`), where the state still knows them.
    """

    text: str
    value: Any
    changes_at: int | None
    events: tuple[int, ...] = ()
    parts: tuple["Evidence", ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines(0))

    def _lines(self, depth: int) -> list[str]:
        shown = constant(self.value, "any")
        line = f"{'  ' * depth}{shown if len(shown) <= 80 else shown[:77] + '...'}  ←  {self.text}"
        if self.changes_at is not None:
            line += f"  [may change at {instant(self.changes_at)}]"
        if self.events:
            line += f"  [{len(self.events)} event(s): {', '.join(f'{event:016x}' for event in self.events[-5:])}]"
        return [line, *(inner for part in self.parts for inner in part._lines(depth + 1))]


def why(plan: Plan, state: ProfileState, profile: Profile, segment_id: str, now: int) -> Evidence:
    """The evaluated tree of a segment for a profile at `now`; raises PlanError for an unknown segment."""
    position = plan.positions.get(plan.segment_names.get(segment_id, segment_id))
    if position is None:
        raise PlanError(f"no segment `{segment_id}` in the plan; it has {len(plan.segments)} segments")
    context = Context(
        profile.id,
        profile.attributes,
        profile.lists,
        state.leaves,
        state.members,
        plan.segment_names,
        max(now, state.now),
    )
    return _evidence(plan.segments[position].spec.expression.planned, plan, context)


def _evidence(node: Core, plan: Plan, context: Context) -> Evidence:
    function = compile_condition(node, lambda spec: plan.leaves.get(spec) or make_leaf(spec), _since_key)
    context.until = NEVER
    value = function(context)
    until = context.until if context.until < NEVER else None
    events: tuple[int, ...] = ()
    if isinstance(node, Recall) and (found := plan.leaves.get(node.leaf)) is not None:
        events = tuple(found.counted(context.states.get(found.key), context.now))
    parts = tuple(_evidence(part, plan, context) for part in _closed_parts(node))
    return Evidence(describe(node), value, until, events, parts)


def _since_key(condition: Core) -> int:
    return content_key("since", condition)


def _closed_parts(node: Core) -> tuple[Core, ...]:
    """The parts worth showing: those with a value of their own that is not already in the text."""
    if isinstance(node, Since | Recall | Attribute | Const):
        return ()
    if isinstance(node, Apply):
        return tuple(part for part in node.arguments if not isinstance(part, Const) and not _is_literal(part))
    if isinstance(node, Get):
        return _closed_parts(node.target)
    return (node.source,) if isinstance(node, Each) else ()


def _is_literal(node: Core) -> bool:
    return isinstance(node, Apply) and node.operation == "array" and all(isinstance(p, Const) for p in node.arguments)
