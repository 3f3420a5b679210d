"""Fragments: what each dataset has said about one profile, each leaf with the log time at which it was said."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from shared.contracts.facts import Fact
from shared.contracts.inbound import SCORES_DATASET
from shared.kernel.ids import PROFILE_ID_NAMESPACE
from shared.merge import tree
from shared.merge.tree import LEAVES_MAX, Path, Tree

IDENTITY_MAP = "identityMap"

_NOT_ATTRIBUTES = frozenset({"_id", "timestamp", "segmentMembership"})
"""About the record, or maintained by Freshet: never attributes of the profile."""

_DIGEST_BITS = 22
_DELAY_MAX = (1 << 40) - 1
"""12 days in µs: scores that took longer to arrive are told apart by their digest alone."""


class Fragments(msgspec.Struct, array_like=True):
    """The record data of one profile by dataset id, as the trees of `shared.merge.tree`. Holds only what merging needs.

    `leaf_counts` follows the trees, so that their limit costs nothing to check.
    """

    trees: dict[str, Tree] = msgspec.field(default_factory=dict)
    leaf_counts: dict[str, int] = msgspec.field(default_factory=dict)


def apply(fragments: Fragments, fact: Fact) -> Fragments:
    """Merges one record or score into `fragments`, in place, and returns it. Events and ticks change nothing.

    Idempotent and independent of order: the greater `received_at` wins leaf by leaf, between equals a digest of
    dataset and fact id decides. A score is as old as its vector (`occurred_at`), because scoring that starts again may
    tell an older vector's score for the first time after the newest one's. Costs O(leaves of the fact).
    """
    if fact.type == "score":
        dataset, said_at = SCORES_DATASET, fact.occurred_at
        tie = _score_tie(fact)
    elif fact.type == "record":
        dataset, said_at = fact.dataset_id, fact.received_at
        tie = _tie(dataset, fact.id)
    else:
        return fragments
    fragment = fragments.trees.setdefault(dataset, {})
    count = fragments.leaf_counts.get(dataset, 0)
    for path, value in _attributes(fact.body):
        if count < LEAVES_MAX or tree.holds(fragment, path):
            count += tree.insert(fragment, path, [said_at, tie, value])
    fragments.leaf_counts[dataset] = count
    return fragments


def union(left: Fragments, right: Fragments) -> Fragments:
    """Returns the fragments of two profiles as those of one: newest wins leaf by leaf. Neither argument changes."""
    result = Fragments()
    for fragments in (left, right):
        for dataset, fragment in fragments.trees.items():
            own = result.trees.setdefault(dataset, {})
            for path, leaf in tree.leaves(fragment):
                tree.insert(own, path, leaf)
    result.leaf_counts = {dataset: tree.leaf_count(fragment) for dataset, fragment in result.trees.items()}
    return result


def sources(fragments: Fragments) -> tuple[str, ...]:
    """Returns the ids of the datasets that have written attributes, sorted."""
    return tuple(sorted(fragments.trees))


def _tie(dataset: str, fact: str) -> int:
    """63 bits: decides between equal log times without keeping ids of any length in each leaf."""
    digest = blake2b(f"{dataset}\x00{fact}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _score_tie(fact: Fact) -> int:
    """Of vectors of one instant the score that arrived later counts; what is left, a digest decides. 62 bits."""
    delay = min(max(0, fact.received_at - fact.occurred_at), _DELAY_MAX)
    return delay << _DIGEST_BITS | _tie(SCORES_DATASET, fact.id) >> (63 - _DIGEST_BITS)


def _attributes(body: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    for name, value in body.items():
        if name in _NOT_ATTRIBUTES or name == tree.HIDING:
            continue
        if name == IDENTITY_MAP and isinstance(value, dict):
            yield from _identities(value)
        elif isinstance(value, dict):
            yield from tree.cut(value, (name,))
        else:
            yield (name,), value


def _identities(identity_map: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Cuts the identity map by namespace and id, so that the identities of all records unite."""
    for namespace, items in identity_map.items():
        if namespace == PROFILE_ID_NAMESPACE:
            continue
        if items is None:
            yield (IDENTITY_MAP, namespace), None
        elif isinstance(items, list):
            for item in items:
                if isinstance(item, dict) and isinstance(item.get("id"), str):
                    yield (IDENTITY_MAP, namespace, item["id"]), item
