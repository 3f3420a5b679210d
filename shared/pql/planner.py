"""Expressions → plan. Everything is keyed by content, so what two plans share is compiled once and keeps its state.

A plan made from a previous one costs a few look-ups for each segment and compiles only what is new.
"""

from collections.abc import Iterable, Mapping, Sequence

from shared.pql.conditions import Conditions
from shared.pql.errors import PlanError
from shared.pql.index import EventIndex
from shared.pql.leaves.base import Leaf, LeafSpec, Recall
from shared.pql.making import content_key
from shared.pql.plan import (
    Condition,
    FeatureSpec,
    Plan,
    PlannedCondition,
    PlannedFeature,
    PlannedSegment,
    SegmentSpec,
)
from shared.pql.routing import Readers, matchers_for

PLANS_REMEMBERED_MAX = 64
"""Earlier plans a plan can tell its differences from; profiles last seen before those re-evaluate everything."""


def build_plan(
    segments: Sequence[SegmentSpec], features: Sequence[FeatureSpec] = (), previous: Plan | None = None
) -> Plan:
    """Plan segments and features; `previous` lends what has not changed.

    Raises PlanError for a cycle of segments (naming it) or an id, name or feature given twice.
    """
    names = _names(segments)
    conditions = Conditions(previous)
    wanted = {spec.id: conditions.of(spec.expression) for spec in segments}
    planned_features = tuple(PlannedFeature(spec, conditions.of(spec.expression)) for spec in features)
    _refuse_twice([feature.spec.name for feature in planned_features], "feature")
    ordered = _topological(segments, wanted, names)
    return _Assembly(previous, ordered, wanted, planned_features, names).plan(conditions.known)


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


def _topological(
    segments: Sequence[SegmentSpec], conditions: Mapping[str, Condition], names: dict[str, str]
) -> list[SegmentSpec]:
    """Order segments so that each comes after those it refers to; iterative, since chains may be long."""
    by_id = {spec.id: spec for spec in segments}
    wanted = {id_: [names.get(name, name) for name in sorted(found.references)] for id_, found in conditions.items()}
    ordered: list[SegmentSpec] = []
    done: set[str] = set()
    for spec in segments:
        if not wanted[spec.id]:
            if spec.id not in done:
                done.add(spec.id)
                ordered.append(spec)
            continue
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


class _Assembly:
    """Puts conditions together: who reads what, who refers to whom, which series and index they need."""

    def __init__(
        self,
        previous: Plan | None,
        ordered: Sequence[SegmentSpec],
        wanted: Mapping[str, Condition],
        features: tuple[PlannedFeature, ...],
        names: dict[str, str],
    ) -> None:
        self.previous = previous
        self.names = names
        self.features = features
        self.places: dict[int, int] = {}
        self.conditions: list[Condition] = []
        self.planned: list[PlannedCondition] = []
        self.feature_references = frozenset(names.get(n, n) for f in features for n in f.condition.references)
        self.segments = tuple(self._segment(spec, wanted[spec.id]) for spec in ordered)
        self.positions = {segment.spec.id: position for position, segment in enumerate(self.segments)}
        self.feature_leaves = frozenset(leaf.key for f in features for leaf in f.condition.leaves)
        self.leaves: dict[LeafSpec, Leaf] = {}
        self.readers: dict[int, list[int]] = {}
        self.numbers: dict[int, dict[int, tuple[int, ...]]] = {}
        self.otherwise: dict[int, list[int]] = {}
        self.alone: dict[int, str] = {}
        for place, condition in enumerate(self.conditions):
            self._read(place, condition)
        for feature in features:
            self.leaves.update((leaf.spec, leaf) for leaf in feature.condition.leaves)

    def _segment(self, spec: SegmentSpec, condition: Condition) -> PlannedSegment:
        place = self.places.get(condition.key)
        if place is None:
            place = self.places[condition.key] = len(self.planned)
            self.conditions.append(condition)
            self.planned.append(PlannedCondition(condition.key, condition.test, [], []))
        found = self.planned[place]
        found.segments.append((spec.id, spec.version))
        found.in_features |= spec.id in self.feature_references
        referred = condition.references
        if referred:
            referred = frozenset(self.names.get(name, name) for name in referred)
        return PlannedSegment(spec, condition, place, referred)

    def _read(self, place: int, condition: Condition) -> None:
        for leaf in condition.leaves:
            self.leaves[leaf.spec] = leaf
            self.readers.setdefault(leaf.key, []).append(place)
        for key, number in condition.numbers:
            asked = self.numbers.setdefault(key, {})
            asked[number] = (*asked.get(number, ()), place)
        if isinstance(condition.core, Recall):
            self.alone[condition.leaves[0].key] = self.planned[place].segments[0][0]
        for key in condition.otherwise:
            self.otherwise.setdefault(key, []).append(place)
        for reference in condition.references:
            position = self.positions.get(self.names.get(reference, reference))
            if position is not None:
                self.planned[self.segments[position].place].dependants.append(place)

    def plan(self, known: Mapping[int, Condition]) -> Plan:
        """The finished plan."""
        readers = {key: tuple(found) for key, found in self.readers.items()}
        otherwise = {key: tuple(found) for key, found in self.otherwise.items()}
        all_conditions = [*self.conditions, *(feature.condition for feature in self.features)]
        since = {found.core: found for condition in all_conditions for found in condition.since}
        who = Readers(readers, self.numbers, otherwise, self.alone, self.feature_leaves)
        before = self.previous.matchers if self.previous else {}
        matchers = matchers_for(self.leaves.values(), who, before)
        series = {key: matcher.series for key, matcher in matchers.items() if matcher.series is not None}
        keys = frozenset(leaf.key for leaf in self.leaves.values())
        contents = {s.spec.id: (s.spec.version, s.spec.name, s.condition.key) for s in self.segments}
        key = _plan_key(contents, self.features)
        return Plan(
            key=key,
            segments=self.segments,
            features=self.features,
            conditions=tuple(self.planned),
            positions=self.positions,
            places=self.places,
            segment_names=self.names,
            leaves=self.leaves,
            leaves_new=keys - self.previous.state_keys if self.previous else keys,
            matchers=matchers,
            series=series,
            index=EventIndex(matchers.values()),
            readers=readers,
            numbers=self.numbers,
            otherwise=otherwise,
            on_profile=tuple(place for place, found in enumerate(self.conditions) if found.uses_profile),
            on_first_sight=tuple(p for p, found in enumerate(self.conditions) if found.before_history is not False),
            on_blank=tuple(p for p, found in enumerate(self.conditions) if found.blank is not False),
            since=since,
            state_keys=keys.union(series, (condition.key for condition in since.values())),
            feature_leaves=self.feature_leaves,
            feature_references=self.feature_references,
            features_use_profile=any(feature.condition.uses_profile for feature in self.features),
            changed_since=_changes(self.previous, key, contents),
            contents=contents,
            known=known,
        )


def _plan_key(contents: Mapping[str, tuple[int, str, int]], features: Iterable[PlannedFeature]) -> int:
    named = [("feature", feature.spec.name, feature.condition.key) for feature in features]
    return content_key(list(contents.items()), named)


def _changes(
    previous: Plan | None, key: int, contents: Mapping[str, tuple[int, str, int]]
) -> dict[int, frozenset[str]]:
    if previous is None or previous.key == key:
        return dict(previous.changed_since) if previous else {}
    different = previous.contents.items() ^ contents.items()
    # Under its name too, by which segments that stay may refer to one that has gone.
    changed = frozenset(name for id_, (_, called, _) in different for name in (id_, called) if name)
    remembered = list(previous.changed_since.items())[-PLANS_REMEMBERED_MAX + 1 :]
    changes = {earlier: ids | changed for earlier, ids in remembered if earlier != key}
    changes[previous.key] = changed
    return changes
