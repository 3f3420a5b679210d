"""Feature sets and the vectors computed from them."""

from typing import Literal

import msgspec

from shared.kernel.ids import digest_id


class FeatureDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """One named feature: a PQL expression with a numeric result. `default` stands in for null."""

    name: str
    expression: str
    dtype: Literal["float32"] = "float32"
    default: float = 0.0


class FeatureSetDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named, ordered list of features. `deleted` is the tombstone that compaction keeps."""

    name: str
    version: int
    features: tuple[FeatureDefinition, ...]
    deleted: bool = False
    schema_version: int = 1

    @property
    def hash(self) -> str:
        """Identifies names, order, expressions, dtypes and defaults; a mismatch is refused everywhere."""
        parts = [part for f in self.features for part in (f.name, f.expression, f.dtype, repr(f.default))]
        return digest_id("feature-set", self.name, *parts)


class FeatureVector(msgspec.Struct, frozen=True, omit_defaults=True):
    """The features of one profile as of log time `as_of` (µs), float32, in the order of the feature set.

    `id` derives from profile and cause, so that a repeat is the same vector.
    """

    id: str
    tenant: str
    profile_id: str
    feature_set: str
    feature_set_hash: str
    as_of: int
    values: tuple[float, ...]
    schema_version: int = 1
