"""Verbs of the control plane: define, edit, remove, list. All checks come before anything is stored."""

from collections.abc import Callable, Sequence

import msgspec

from services.segmentation.domain.definitions import compile_definitions, dangling_references, feature_spec
from services.segmentation.ports import DefinitionStore, UnionSchemas
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.clock import Clock
from shared.kernel.errors import Reason, Rejected

_FEATURES_MAX = 500


class DefinitionHandlers:
    """Guarantee: a definition that is answered 2xx is stored and will reach every running worker."""

    def __init__(self, store: DefinitionStore, schemas: UnionSchemas, clock: Clock, new_id: Callable[[], str]) -> None:
        self._store = store
        self._schemas = schemas
        self._clock = clock
        self._new_id = new_id

    async def list_segments(self) -> Sequence[SegmentDefinition]:
        """Returns live segments, by name."""
        return await self._store.segments()

    async def get_segment(self, segment_id: str) -> SegmentDefinition:
        """Raises Rejected (not_found)."""
        segment = await self._store.segment(segment_id)
        if segment is None or segment.deleted:
            raise Rejected(f"there is no segment with id {segment_id!r}", Reason.NOT_FOUND)
        return segment

    async def define_segment(
        self, name: str, expression: str, description: str = "", segment_id: str | None = None
    ) -> SegmentDefinition:
        """Checks and stores a new segment. Raises PqlError, or Rejected (conflict) when the name or id is taken."""
        id_ = segment_id or self._new_id()
        now = self._clock.now()
        stored = await self._store.segment(id_)
        if stored is not None and not stored.deleted:
            raise Rejected(f"segment id {id_!r} exists already; edit it with PATCH", Reason.CONFLICT)
        version = stored.version if stored else 0
        segment = SegmentDefinition(id_, name, expression, version + 1, description, now, now)
        await self._check(segment)
        await self._store.save_segment(segment, version)
        return segment

    async def edit_segment(
        self, segment_id: str, name: str | None, expression: str | None, description: str | None
    ) -> SegmentDefinition:
        """Stores a new version of a segment. Raises as `define_segment` and `get_segment`."""
        old = await self.get_segment(segment_id)
        segment = msgspec.structs.replace(
            old,
            name=old.name if name is None else name,
            expression=old.expression if expression is None else expression,
            description=old.description if description is None else description,
            version=old.version + 1,
            updated_at=self._clock.now(),
        )
        await self._check(segment)
        await self._store.save_segment(segment, old.version)
        return segment

    async def remove_segment(self, segment_id: str) -> None:
        """Removes a segment: all its members leave it. Raises Rejected (conflict) while another one refers to it."""
        old = await self.get_segment(segment_id)
        removed = msgspec.structs.replace(old, deleted=True, version=old.version + 1, updated_at=self._clock.now())
        await self._check(removed)
        await self._store.save_segment(removed, old.version)

    async def validate_segment(self, name: str, expression: str) -> None:
        """Checks an expression as if it were to be defined; stores nothing. Raises PqlError."""
        await self._check(SegmentDefinition("", name, expression, 1))

    async def _check(self, changed: SegmentDefinition) -> None:
        """Compiles all segments as they would be after the change, so that names, references and cycles are seen."""
        others = [segment for segment in await self._store.segments() if segment.id != changed.id]
        taken = next((other.id for other in others if other.name == changed.name and not changed.deleted), None)
        if taken is not None:
            raise Rejected(f"the name {changed.name!r} belongs to segment {taken!r}; choose another", Reason.CONFLICT)
        compiled = compile_definitions([*others, changed], (), await self._schemas.union())
        for segment, reference in dangling_references(compiled):
            if changed.deleted:
                raise Rejected(f"segment {segment!r} refers to {reference!r}; edit or remove it first", Reason.CONFLICT)
            raise Rejected(
                f"segment {segment!r} refers to {reference!r}, which is not defined; define that first",
                Reason.EXPRESSION,
            )

    async def list_feature_sets(self) -> Sequence[FeatureSetDefinition]:
        """Returns live feature sets, by name."""
        return [feature_set for feature_set in await self._store.feature_sets() if not feature_set.deleted]

    async def get_feature_set(self, name: str) -> FeatureSetDefinition:
        """Raises Rejected (not_found)."""
        for feature_set in await self.list_feature_sets():
            if feature_set.name == name:
                return feature_set
        raise Rejected(f"there is no feature set {name!r}", Reason.NOT_FOUND)

    async def define_feature_set(self, name: str, features: Sequence[FeatureDefinition]) -> FeatureSetDefinition:
        """Checks and stores a feature set, or a new version of it; an identical one changes nothing.

        Raises PqlError, or Rejected for no, too many or doubled features.
        """
        names = [feature.name for feature in features]
        if not 0 < len(names) <= _FEATURES_MAX:
            raise Rejected(f"a feature set has 1 to {_FEATURES_MAX} features, {name!r} has {len(names)}")
        doubled = sorted({feature for feature in names if names.count(feature) > 1})
        if doubled:
            raise Rejected(f"feature set {name!r} names {', '.join(doubled)} more than once; give each its own name")
        schema = await self._schemas.union()
        for feature in features:
            feature_spec(name, feature, schema)
        stored = {feature_set.name: feature_set for feature_set in await self._store.feature_sets()}.get(name)
        version = stored.version if stored else 0
        feature_set = FeatureSetDefinition(name, version + 1, tuple(features))
        if stored is not None and not stored.deleted and stored.features == feature_set.features:
            return stored
        await self._store.save_feature_set(feature_set, version)
        return feature_set
