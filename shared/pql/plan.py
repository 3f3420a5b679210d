"""The plan: all segments and features of a tenant, ready to run. Built by the planner, never changed afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.pql.core import Core
from shared.pql.index import EventIndex, Matcher
from shared.pql.leaves.base import Leaf, LeafSpec
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


@dataclass(frozen=True, slots=True)
class PlannedSegment:
    """A segment in the plan. `before_history` is its answer for a profile without events, if that needs no profile."""

    spec: SegmentSpec
    condition: Compiled
    leaves: frozenset[int]
    references: frozenset[str]
    uses_profile: bool
    before_history: bool | None
    id: str


@dataclass(frozen=True, slots=True)
class PlannedFeature:
    """A feature in the plan."""

    spec: FeatureSpec
    value: Compiled


@dataclass(frozen=True, slots=True)
class SinceCondition:
    """A condition on attributes whose beginning is kept under `key`."""

    key: int
    condition: Compiled


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All segments in an order in which every segment comes after those it refers to, and what connects them.

    `key` names the plan's content; `changed_since` says, for plans before this one, which segments have come, gone or
    changed since, so that a profile last seen under an older plan re-evaluates only those.
    """

    key: int
    segments: tuple[PlannedSegment, ...]
    features: tuple[PlannedFeature, ...]
    positions: Mapping[str, int]
    segment_names: Mapping[str, str]
    leaves: Mapping[LeafSpec, Leaf]
    leaves_new: frozenset[int]
    matchers: Mapping[Core, Matcher]
    compiled: Mapping[Core, Compiled]
    index: EventIndex
    readers: Mapping[int, tuple[int, ...]]
    numbers: Mapping[int, Mapping[int, tuple[int, ...]]]
    dependants: tuple[tuple[int, ...], ...]
    on_profile: tuple[int, ...]
    on_first_sight: tuple[int, ...]
    since: Mapping[Core, SinceCondition]
    state_keys: frozenset[int]
    feature_leaves: frozenset[int]
    feature_references: frozenset[str]
    features_use_profile: bool
    changed_since: Mapping[int, frozenset[str]]
