"""Rows as arrays: what all steps of the recipe pass on."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from shared.features.examples import Example

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dataset:
    """N rows: `features` float32[N, F] as served, `labels` bool[N], `at` int64[N] log time (µs), `groups`
    float64[N], a number in [0, 1) that all rows of one profile share."""

    features: NDArray[np.float32]
    labels: BoolArray
    at: NDArray[np.int64]
    groups: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: BoolArray) -> "Dataset":
        """Returns the rows that are chosen, in order."""
        return Dataset(self.features[chosen], self.labels[chosen], self.at[chosen], self.groups[chosen])

    @property
    def positives(self) -> int:
        return int(np.count_nonzero(self.labels))


def to_dataset(examples: Sequence[Example], feature_count: int, seed: int) -> Dataset:
    """Arranges examples by log time, then rank, so that the arrays do not depend on the order of partitions."""
    ordered = sorted(examples, key=lambda example: (example.at, example.rank))
    values = np.array([example.values for example in ordered], dtype=np.float32)
    return Dataset(
        features=values.reshape(len(ordered), feature_count),
        labels=np.array([example.label for example in ordered], dtype=np.bool_),
        at=np.array([example.at for example in ordered], dtype=np.int64),
        groups=np.array([_group(seed, example.profile_id) for example in ordered], dtype=np.float64),
    )


def _group(seed: int, profile_id: str) -> float:
    digest = blake2b(f"group\x00{seed}\x00{profile_id}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
