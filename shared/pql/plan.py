"""The plan: all segments and features of a tenant, ready to run. Built by the planner, never changed afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.pql.core import Core
from shared.pql.index import EventIndex, Matcher
from shared.pql.leaves.base import Leaf, LeafSpec
from shared.pql.leaves.series import Series
from shared.pql.syntax import Query

Compiled = Callable[[Any], Any]
"""A compiled expression: a function of a Context."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: its text, its syntax, its typed tree, and the tree with history cut into leaves."""

    text: str
    query: Query
    core: Core
    planned: Core


@dataclass(frozen=True, slots=True)
class SegmentSpec:
    """A segment to plan; `inSegment("x")` of other segments refers to its id or its name."""

    id: str
    version: int
    expression: Expression
    name: str = ""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """A feature to plan."""

    name: str
    expression: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """What one expression comes to, whoever asks: segments with equal expressions share it, plans hand it on.

    `leaves` are all it reads, `numbers` the counts it compares with numbers (leaf key, number), `otherwise` the keys
    of leaves it reads in any other way. `references` are ids or names as written. `before_history` is its answer for
    a profile without events, if that needs neither profile nor time, `blank` for one without attributes and lists too.
    """

    key: int
    core: Core
    test: Compiled
    leaves: tuple[Leaf, ...]
    numbers: tuple[tuple[int, int], ...]
    otherwise: tuple[int, ...]
    references: frozenset[str]
    since: tuple["SinceCondition", ...]
    uses_profile: bool
    before_history: bool | None
    blank: bool | None


@dataclass(slots=True, eq=False)
class PlannedCondition:
    """A condition in the plan: the segments that are it, as (id, version), and the places of conditions that refer to
    one of them."""

    key: int
    test: Compiled
    segments: list[tuple[str, int]]
    dependants: list[int]
    in_features: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PlannedSegment:
    """A segment in the plan; `place` is that of its condition, `references` are the ids it refers to (a name where
    nobody has it)."""

    spec: SegmentSpec
    condition: Condition
    place: int
    references: frozenset[str]

    @property
    def id(self) -> str:
        """The segment's id."""
        return self.spec.id


@dataclass(frozen=True, slots=True)
class PlannedFeature:
    """A feature in the plan."""

    spec: FeatureSpec
    condition: Condition


@dataclass(frozen=True, slots=True)
class SinceCondition:
    """A condition on attributes whose beginning is kept under `key`."""

    key: int
    core: Core
    condition: Compiled


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All segments, their conditions in an order in which each comes after those it refers to, and what connects them.

    A place is an index into `conditions`. `key` names the plan's content; `changed_since` says, for plans before this
    one, which segments (ids and names) have come, gone or
    changed since, so that a profile last seen under an older plan re-evaluates
    only those.
    """

    key: int
    segments: tuple[PlannedSegment, ...]
    features: tuple[PlannedFeature, ...]
    conditions: tuple[PlannedCondition, ...]
    positions: Mapping[str, int]
    """Index into `segments` by id."""
    places: Mapping[int, int]
    """Place by a condition's key."""
    segment_names: Mapping[str, str]
    leaves: Mapping[LeafSpec, Leaf]
    leaves_new: frozenset[int]
    matchers: Mapping[int, Matcher]
    """Conditions on events by the key of their series."""
    series: Mapping[int, Series]
    index: EventIndex
    readers: Mapping[int, tuple[int, ...]]
    """By a leaf's key: the places of all that read it."""
    numbers: Mapping[int, Mapping[int, tuple[int, ...]]]
    """By a leaf's key and a number: the places of those that compare its count with the number."""
    otherwise: Mapping[int, tuple[int, ...]]
    """By a leaf's key: the places of those to whom more than that matters."""
    on_profile: tuple[int, ...]
    on_first_sight: tuple[int, ...]
    """The places of those that may hold for a profile without events."""
    on_blank: tuple[int, ...]
    """Of them those that may hold without attributes and lists, as most profiles begin."""
    since: Mapping[Core, SinceCondition]
    state_keys: frozenset[int]
    feature_leaves: frozenset[int]
    feature_references: frozenset[str]
    features_use_profile: bool
    changed_since: Mapping[int, frozenset[str]]
    contents: Mapping[str, tuple[int, str, int]]
    """What a segment is, by id: version, name, key of its condition."""
    known: Mapping[int, Condition]
    """Conditions by the identity of an expression in this plan, for the next plan to take over."""
