"""Explanations: how an expression will be run (`explain`), and why a profile is in a segment or not (`why`)."""

from dataclasses import dataclass
from typing import Any

from shared.pql.codegen import compile_condition
from shared.pql.context import Context
from shared.pql.core import Apply, Attribute, Const, Core, Each, Get, Since
from shared.pql.cost import Estimate, estimate, latest_change
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


@dataclass(frozen=True, slots=True)
class LeafExplanation:
    """One history an expression keeps of each profile.

    `name` is what the condition calls it (`L1`), `key` the 64-bit key of its state, `found_by` the way of an event to
    it, `keeps` and `last_change` are words; `entries_max` is how many entries it has at most.
    """

    name: str
    text: str
    family: str
    key: int
    found_by: str
    keeps: str
    entries_max: int
    last_change: str

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.text}",
            f"    family: {self.family}, key {self.key:016x}",
            f"    found by: {self.found_by}",
            f"    keeps: {self.keeps}",
            f"    last change by time: {self.last_change}",
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an expression will be run: its type, its condition over leaves, the leaves, and its worst case."""

    value: str
    condition: str
    leaves: tuple[LeafExplanation, ...]
    refers_to: tuple[str, ...]
    cost: Estimate

    def __str__(self) -> str:
        lines = [f"value: {self.value}", f"condition: {self.condition}", *map(str, self.leaves)]
        if self.refers_to:
            lines.append(f"refers to segments: {', '.join(self.refers_to)}")
        lines.append(f"at worst: {self.cost.steps:,} steps for one event, {self.cost.bytes:,} bytes for one profile")
        return "\n".join(lines)


def explain(subject: Expression | Plan) -> str:
    """The plan in words: the condition over its leaves, and for each leaf its index, bound and last change by time."""
    return _explain_plan(subject) if isinstance(subject, Plan) else str(explanation(subject))


def explanation(expression: Expression) -> Explanation:
    """What `explain` says, in parts."""
    planned = expression.planned
    specs = sorted(recalls(planned), key=leaf)
    leaves = tuple(_leaf_explanation(f"L{number}", spec) for number, spec in enumerate(specs, start=1))
    referred = tuple(sorted(references(planned)))
    return Explanation(str(expression.core.type), _condition(planned, specs), leaves, referred, estimate(planned))


def _condition(planned: Core, specs: list[LeafSpec]) -> str:
    text = describe(planned)
    # Longest first, so that a leaf whose text is part of another's does not cut it.
    for number, spec in sorted(enumerate(specs, start=1), key=lambda pair: -len(leaf(pair[1]))):
        text = text.replace(leaf(spec), f"L{number}")
    return text


def _leaf_explanation(name: str, spec: LeafSpec) -> LeafExplanation:
    found_by = _access(matcher_of(spec.predicate))
    return LeafExplanation(
        name, leaf(spec), spec.family, leaf_key(spec), found_by, _kept(spec), spec.entries, latest_change(spec)
    )


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
    on_profile = sum(len(plan.conditions[place].segments) for place in plan.on_profile)
    readers = {key: sum(len(plan.conditions[place].segments) for place in found) for key, found in plan.readers.items()}
    lines += [f"{len(plan.matchers)} conditions on events, {on_profile} segments look at the profile"]
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
            counted = "1 event" if len(self.events) == 1 else f"{len(self.events)} events"
            line += f"  [{counted}: {', '.join(f'{event:016x}' for event in self.events[-5:])}]"
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
        events = tuple(found.counted(context.states, context.now))
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
