"""Merge policies: how the fragments of all datasets become one profile."""

from typing import Any

from shared.merge import tree
from shared.merge.fragments import IDENTITY_MAP, Fragments
from shared.merge.tree import HIDING, Tree


def merged(fragments: Fragments) -> dict[str, Any]:
    """Returns the profile's attributes by the policy `timestampOrdered`: the newest log time wins, leaf by leaf.

    Arrays are replaced whole, objects merge by key, identity maps unite, null deletes what is older, and objects
    without a visible leaf are left out. Costs O(all leaves): callers keep the result until the next record.
    The result shares arrays with `fragments`: treat both as read-only.
    """
    trees = list(fragments.trees.values())
    together = trees[0] if len(trees) == 1 else _together(trees)
    shown = tree.visible({name: node for name, node in together.items() if name != IDENTITY_MAP})
    identities = _identity_map(together.get(IDENTITY_MAP))
    if identities:
        shown[IDENTITY_MAP] = identities
    return shown


def _together(trees: list[Tree]) -> Tree:
    """Unites trees by top-level field; only fields that several datasets write are walked."""
    result: Tree = {}
    shared_names = set()
    for fragment in trees:
        for name, node in fragment.items():
            if name in result:
                shared_names.add(name)
            result[name] = node
    for name in shared_names:
        field: Tree = {}
        for fragment in trees:
            if name in fragment:
                for path, leaf in tree.leaves({name: fragment[name]}):
                    tree.insert(field, path, leaf)
        result[name] = field[name]
    return result


def _identity_map(node: Any) -> dict[str, list[dict[str, Any]]]:
    """Back from ids to arrays: primary identities first, then by id."""
    if not isinstance(node, dict):
        return {}
    result: dict[str, list[dict[str, Any]]] = {}
    for namespace in sorted(name for name in node if name != HIDING):
        below = node[namespace]
        if isinstance(below, dict):
            items = [leaf[2] for leaf in below.values() if isinstance(leaf, list) and isinstance(leaf[-1], dict)]
            if items:
                result[namespace] = sorted(items, key=lambda item: (not item.get("primary", False), item["id"]))
    return result
