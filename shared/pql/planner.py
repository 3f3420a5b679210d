"""Expressions → plan. Everything is keyed by content, so what two plans share is compiled once and keeps its state."""

from collections.abc import Sequence
from dataclasses import replace

from shared.pql.codegen import compile_condition
from shared.pql.context import Context
from shared.pql.core import Bound, Core, walk
from shared.pql.errors import PlanError
from shared.pql.history import recalls, references, since_conditions, step_predicates, uses_profile
from shared.pql.index import EventIndex, Matcher, matcher_of
from shared.pql.leaves.base import Leaf, LeafSpec
from shared.pql.making import content_key, make_leaf
from shared.pql.plan import (
    Compiled,
    FeatureSpec,
    Plan,
    PlannedFeature,
    PlannedSegment,
    SegmentSpec,
    SinceCondition,
)
from shared.pql.thresholds import by_number
from shared.pql.windows import NEVER

PLANS_REMEMBERED_MAX = 64
"""Earlier plans a plan can tell its differences from; profiles last seen before those re-evaluate everything."""


def build_plan(
    segments: Sequence[SegmentSpec], features: Sequence[FeatureSpec] = (), previous: Plan | None = None
) -> Plan:
    """Plan segments and features; `previous` lends what has not changed.

    Raises PlanError for a cycle of segments (naming it) or an id, name or feature given twice.
    """
    names = _names(segments)
    ordered = _topological(segments, names)
    builder = _Builder(previous)
    planned = tuple(builder.segment(spec, names) for spec in ordered)
    planned_features = tuple(PlannedFeature(spec, builder.compiled(spec.expression.planned)) for spec in features)
    _refuse_twice([feature.spec.name for feature in planned_features], "feature")
    return builder.plan(planned, planned_features, names)


def _names(segments: Sequence[SegmentSpec]) -> dict[str, str]:
    _refuse_twice([spec.id for spec in segments], "segment id")
    ids = {spec.id for spec in segments}
    named = [spec for spec in segments if spec.name and spec.name not in ids]
    _refuse_twice([spec.name for spec in named], "segment name")
    return {spec.name: spec.id for spec in named}


def _refuse_twice(values: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise PlanError(f"the {what} `{value}` is given twice; give each its own")
        seen.add(value)


def _topological(segments: Sequence[SegmentSpec], names: dict[str, str]) -> list[SegmentSpec]:
    """Order segments so that each comes after those it refers to; iterative, since chains may be long."""
    by_id = {spec.id: spec for spec in segments}
    wanted = {
        spec.id: [names.get(name, name) for name in sorted(references(spec.expression.planned))] for spec in segments
    }
    ordered: list[SegmentSpec] = []
    done: set[str] = set()
    for spec in segments:
        path: list[str] = []
        stack = [(spec.id, False)]
        while stack:
            current, finished = stack.pop()
            if finished:
                path.pop()
                if current not in done:
                    done.add(current)
                    ordered.append(by_id[current])
            elif current in path:
                cycle = " → ".join([*path[path.index(current) :], current])
                raise PlanError(f"segments refer to each other in a cycle: {cycle}; remove one of the references")
            elif current in by_id and current not in done:
                path.append(current)
                stack.append((current, True))
                stack.extend((reference, False) for reference in reversed(wanted[current]))
    return ordered


class _Builder:
    def __init__(self, previous: Plan | None) -> None:
        self.previous = previous
        self.leaves: dict[LeafSpec, Leaf] = {}
        self.functions: dict[Core, Compiled] = {}
        self.since: dict[Core, SinceCondition] = {}

    def leaf(self, spec: LeafSpec) -> Leaf:
        """The leaf of a spec: this plan's, the previous plan's, or a new one."""
        leaf = self.leaves.get(spec) or (self.previous.leaves.get(spec) if self.previous else None)
        if leaf is None:
            leaf = make_leaf(spec)
        self.leaves[spec] = leaf
        return leaf

    def since_key(self, condition: Core) -> int:
        return content_key("since", condition)

    def compiled(self, core: Core) -> Compiled:
        """The compiled form of a planned tree, carried over if the previous plan had it."""
        for spec in recalls(core):
            self.leaf(spec)
        for condition in since_conditions(core):
            if condition not in self.since:
                self.since[condition] = SinceCondition(self.since_key(condition), self.compiled(condition))
        function = self.functions.get(core) or (self.previous.compiled.get(core) if self.previous else None)
        if function is None:
            function = compile_condition(core, self.leaf, self.since_key)
        self.functions[core] = function
        return function

    def segment(self, spec: SegmentSpec, names: dict[str, str]) -> PlannedSegment:
        core = spec.expression.planned
        condition = self.compiled(core)
        referred = frozenset(names.get(name, name) for name in references(core))
        profile = uses_profile(core)
        leaves = frozenset(self.leaf(leaf_spec).key for leaf_spec in recalls(core))
        before = None if profile or referred or _names_profile(core) else _before_history(condition, core)
        return PlannedSegment(spec, condition, leaves, referred, profile, before, spec.id)

    def plan(
        self, segments: tuple[PlannedSegment, ...], features: tuple[PlannedFeature, ...], names: dict[str, str]
    ) -> Plan:
        positions = {segment.spec.id: position for position, segment in enumerate(segments)}
        readers: dict[int, list[int]] = {}
        dependants: list[list[int]] = [[] for _ in segments]
        for position, segment in enumerate(segments):
            for key in segment.leaves:
                readers.setdefault(key, []).append(position)
            for reference in segment.references:
                if reference in positions:
                    dependants[positions[reference]].append(position)
        matchers = self._matchers()
        feature_cores = [feature.spec.expression.planned for feature in features]
        known = {leaf.key for leaf in self.previous.leaves.values()} if self.previous else set()
        keys = frozenset(leaf.key for leaf in self.leaves.values())
        key = content_key(
            *((s.spec.id, s.spec.version, s.spec.name, s.spec.expression.core) for s in segments),
            *(("feature", feature.spec.name, feature.spec.expression.core) for feature in features),
        )
        return Plan(
            key=key,
            segments=segments,
            features=features,
            positions=positions,
            segment_names=names,
            leaves=self.leaves,
            leaves_new=keys - known,
            matchers=matchers,
            compiled=self.functions,
            index=EventIndex(matchers.values()),
            readers={leaf_key: tuple(found) for leaf_key, found in readers.items()},
            numbers={
                self.leaf(spec).key: asked
                for spec, asked in by_number(segment.spec.expression.planned for segment in segments).items()
            },
            dependants=tuple(tuple(found) for found in dependants),
            on_profile=tuple(position for position, segment in enumerate(segments) if segment.uses_profile),
            on_first_sight=tuple(p for p, segment in enumerate(segments) if segment.before_history is not False),
            since=self.since,
            state_keys=keys | {condition.key for condition in self.since.values()},
            feature_leaves=frozenset(self.leaf(spec).key for core in feature_cores for spec in recalls(core)),
            feature_references=frozenset(names.get(n, n) for core in feature_cores for n in references(core)),
            features_use_profile=any(map(uses_profile, feature_cores)),
            changed_since=self._changes(key, segments),
        )

    def _matchers(self) -> dict[Core, Matcher]:
        wanted: dict[Core, tuple[list[Leaf], list[tuple[Leaf, int]]]] = {}
        for spec, leaf in self.leaves.items():
            if spec.family != "sequence":
                wanted.setdefault(spec.predicate, ([], []))[0].append(leaf)
                continue
            for bit, predicate in enumerate(step_predicates(spec)):
                wanted.setdefault(predicate, ([], []))[1].append((leaf, 1 << bit))
        matchers: dict[Core, Matcher] = {}
        for predicate, (leaves, steps) in wanted.items():
            known = self.previous.matchers.get(predicate) if self.previous else None
            base = known or matcher_of(predicate)
            matchers[predicate] = replace(base, leaves=tuple(leaves), steps=tuple(steps))
        return matchers

    def _changes(self, key: int, segments: tuple[PlannedSegment, ...]) -> dict[int, frozenset[str]]:
        if self.previous is None or self.previous.key == key:
            return dict(self.previous.changed_since) if self.previous else {}
        old = {segment.spec.id: _content(segment.spec) for segment in self.previous.segments}
        new = {segment.spec.id: _content(segment.spec) for segment in segments}
        changed = frozenset(id_ for id_ in old.keys() | new.keys() if old.get(id_) != new.get(id_))
        remembered = list(self.previous.changed_since.items())[-PLANS_REMEMBERED_MAX + 1 :]
        changes = {earlier: ids | changed for earlier, ids in remembered if earlier != key}
        changes[self.previous.key] = changed
        return changes


def _content(spec: SegmentSpec) -> tuple[object, ...]:
    return spec.version, spec.name, spec.expression.core


def _names_profile(core: Core) -> bool:
    return any(getattr(node, "operation", "") in ("profileId", "bucket") for node in walk(core))


def _before_history(condition: Compiled, core: Core) -> bool | None:
    """The answer for a profile without events; None if it depends on time."""
    if any(isinstance(node, Bound) and node.anchor is None for node in walk(core) if not recalls(node)):
        return None
    context = Context("", {}, frozenset(), {}, {}, {}, 0)
    answer = bool(condition(context))
    return answer if context.until == NEVER else None
