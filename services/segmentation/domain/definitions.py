"""Definitions compiled into the plan that a worker runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared import features, pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition


@dataclass(frozen=True, slots=True)
class Definitions:
    """A plan and what it was made of. A change of definitions makes a new one.

    `versions`: by segment id; `feature_hashes`: by feature set name, because a set computes its hash at each call.
    """

    plan: pql.Plan
    versions: Mapping[str, int]
    feature_sets: tuple[FeatureSetDefinition, ...]
    feature_hashes: Mapping[str, str]

    def version_of(self, name: str) -> int:
        """The version of a segment (by id) or a feature set (by `set_name`), 0 for none."""
        found = self.versions.get(name)
        return found or next((f.version for f in self.feature_sets if set_name(f.name) == name), 0)


def set_name(feature_set: str) -> str:
    """A feature set's name where names of segments stand too."""
    return f"feature-set:{feature_set}"


def compile_definitions(
    segments: Iterable[SegmentDefinition],
    feature_sets: Iterable[FeatureSetDefinition],
    schema: pql.Schema,
    previous: Definitions | None = None,
) -> Definitions:
    """Compiles all live definitions into one plan; what `previous` shares with it is carried over.

    Raises PqlError for an expression that does not compile, an unknown segment reference or a cycle of segments.
    """
    live = sorted((s for s in segments if not s.deleted), key=lambda s: s.id)
    sets = tuple(sorted((s for s in feature_sets if not s.deleted), key=lambda s: s.name))
    specs = [pql.SegmentSpec(s.id, s.version, pql.compile_segment(s.expression, schema), s.name) for s in live]
    feature_specs = [feature_spec(s.name, f, schema) for s in sets for f in s.features]
    plan = pql.build_plan(specs, feature_specs, previous.plan if previous else None)
    return Definitions(plan, {s.id: s.version for s in live}, sets, {s.name: s.hash for s in sets})


def dangling_references(definitions: Definitions) -> list[tuple[str, str]]:
    """Returns (segment id, what it refers to) for references to segments that do not exist."""
    return [
        (segment.spec.id, reference)
        for segment in definitions.plan.segments
        for reference in sorted(segment.references)
        if reference not in definitions.versions
    ]


def feature_spec(feature_set: str, feature: FeatureDefinition, schema: pql.Schema) -> pql.FeatureSpec:
    """Compiles one feature under its plan-wide name. Raises PqlError."""
    return pql.FeatureSpec(feature_key(feature_set, feature.name), pql.compile_feature(feature.expression, schema))


def feature_key(feature_set: str, feature: str) -> str:
    """The plan's name of a feature: features of different sets may share a name."""
    return f"{feature_set}/{feature}"


def vector_values(feature_set: FeatureSetDefinition, values: Mapping[str, float | None]) -> tuple[float, ...]:
    """Orders feature values as the set does, in float32; null becomes the feature's default."""
    named = {feature.name: values[feature_key(feature_set.name, feature.name)] for feature in feature_set.features}
    return features.vector_values(feature_set, named)
