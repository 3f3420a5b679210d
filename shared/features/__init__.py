"""Feature vectors: one definition of how a person's log becomes numbers, for all services.

`replay` and `examples` are imported by their own names: they bring the language along, which the edge does without.
"""

from shared.features.packing import PackedVector, pack, unpack
from shared.features.vectors import to_float32, vector_values

__all__ = ["PackedVector", "pack", "to_float32", "unpack", "vector_values"]
