"""Scores: what a model said about one profile."""

import msgspec


class Score(msgspec.Struct, frozen=True, omit_defaults=True):
    """`value` is the positive class's probability, 0 to 1. `as_of`: the vector's log time, µs."""

    id: str
    tenant: str
    profile_id: str
    model: str
    model_version: int
    alias: str
    vector_id: str
    as_of: int
    value: float
    schema_version: int = 1
