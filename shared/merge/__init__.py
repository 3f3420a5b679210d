"""Record fragments and merge policies: what a profile's attributes are, whatever order its records came in."""

from shared.merge.fragments import Fragments, apply, sources, union
from shared.merge.policies import merged

__all__ = ["Fragments", "apply", "merged", "sources", "union"]
