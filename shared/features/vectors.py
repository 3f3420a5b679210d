"""From feature values to a vector: defaults for what is missing, and the one rounding to float32.

Everything upstream is exact or float64; everything downstream (topics, Redis, training, ONNX) holds float32 values,
so that a vector compares equal wherever it is met.
"""

import math
import struct
from collections.abc import Mapping

from shared.contracts.vectors import FeatureSetDefinition

FLOAT32_MAX = 3.4028234663852886e38

_FLOAT32 = struct.Struct("<f")


def to_float32(value: float) -> float:
    """Rounds to the nearest float32 (ties to even), as a float; what is beyond float32 becomes its largest value.

    >>> to_float32(0.1)
    0.10000000149011612
    """
    if abs(value) > FLOAT32_MAX:
        return math.copysign(FLOAT32_MAX, value)
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return rounded


def vector_values(definition: FeatureSetDefinition, features: Mapping[str, float | None]) -> tuple[float, ...]:
    """Returns the features in the set's order as float32 values; null and NaN give the feature's default.

    Raises KeyError when `features` lacks one of the set's names: the plan was built from another definition.
    """
    values = []
    for feature in definition.features:
        value = features[feature.name]
        values.append(to_float32(feature.default if value is None or value != value else float(value)))
    return tuple(values)
