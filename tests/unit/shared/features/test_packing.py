"""Vectors: rounding once, defaults for what is missing, and the packed form."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition, FeatureVector
from shared.features import pack, to_float32, unpack, vector_values
from shared.features.packing import HEADER_BYTES
from shared.kernel.errors import Reason, Rejected

HASH = "0123456789abcdef0123456789abcdef"


def vector(*values: float, as_of: int = 7) -> FeatureVector:
    return FeatureVector("v", "default", "p", "shop", HASH, as_of, tuple(values))


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=40), st.integers(-(2**63), 2**63 - 1))
def test_unpacking_gives_back_what_was_packed(values: list[float], as_of: int) -> None:
    packed = unpack(pack(vector(*values, as_of=as_of)), HASH)

    assert (packed.values, packed.as_of, packed.feature_set_hash) == (tuple(values), as_of, HASH)


def test_the_layout_is_fixed() -> None:
    raw = pack(vector(1.0, -2.5, as_of=258))

    assert raw == bytes([1, 0, 2, 0]) + bytes.fromhex(HASH) + struct.pack("<q", 258) + struct.pack("<ff", 1.0, -2.5)
    assert HEADER_BYTES % 4 == 0


def test_a_vector_of_another_feature_set_is_refused() -> None:
    with pytest.raises(Rejected, match="the model expects") as caught:
        unpack(pack(vector(1.0)), "f" * 32)

    assert caught.value.reason == Reason.MODEL


@pytest.mark.parametrize(
    "damage", [lambda raw: b"", lambda raw: raw[:10], lambda raw: raw[:-1], lambda raw: b"\x02" + raw[1:]]
)
def test_what_is_not_a_whole_packed_vector_is_refused(damage: object) -> None:
    assert callable(damage)

    with pytest.raises(Rejected):
        unpack(damage(pack(vector(1.0, 2.0))))


@given(st.floats(allow_nan=False))
def test_rounding_twice_changes_nothing_and_stays_finite(value: float) -> None:
    once = to_float32(value)

    assert to_float32(once) == once
    assert math.isfinite(once)


def test_null_and_nan_become_the_features_default_in_the_sets_order() -> None:
    features = (
        FeatureDefinition("a", "x", default=-1.0),
        FeatureDefinition("b", "y", default=0.1),
        FeatureDefinition("c", "z"),
    )

    values = vector_values(FeatureSetDefinition("s", 1, features), {"c": 3, "b": None, "a": math.nan})

    assert values == (-1.0, to_float32(0.1), 3.0)
