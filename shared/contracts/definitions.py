"""Segment definitions as they travel on the compacted topic `segment-definitions`."""

import msgspec


class SegmentDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A segment in PQL text. `version` grows by one with each edit; `deleted` marks a removed segment.

    `created_at` and `updated_at` are µs. Keyed by `id`.
    """

    id: str
    name: str
    expression: str
    version: int
    description: str = ""
    created_at: int = 0
    updated_at: int = 0
    deleted: bool = False
    schema_version: int = 1
