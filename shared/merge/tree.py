"""The store below a fragment: a tree of attributes in which each leaf remembers when it was written.

1. A record's entity is cut into leaves: scalars, nulls and whole arrays, each at its path. Objects are not leaves:
   they merge by key. An empty object writes nothing.
2. A leaf is `[received_at, tie, value]`. Of two leaves at one path the one with the greater `(received_at, tie)` stays.
3. A leaf and a leaf below it contradict each other (`a: 5` and `a: {b: 1}`); the newer one hides the older:
   - a newer leaf above removes everything older below it;
   - a newer leaf below turns the one above into a mark, kept under `HIDING`, that goes on refusing older leaves.
4. Null is a leaf like any other and hides what is older, which is how a field is deleted.

What is removed could never show again, because whatever hides it is only ever replaced by something newer. Hence the
tree depends on the set of records alone, not on their order or repetition (up to `LEAVES_MAX`).
"""

from collections.abc import Iterator
from typing import Any

Tree = dict[str, Any]
"""Field name to a subtree (dict) or a leaf (list)."""

Leaf = list[Any]
"""`[received_at µs, tie, value]`, of scores their vector's log time in front; a mark under `HIDING` has no value."""

Path = tuple[str, ...]

HIDING = "\x00"
"""Key of the mark of an older leaf at an inner node. A client's field of this name is ignored."""

LEAVES_MAX = 10_000
"""Leaves of one fragment. At the limit known paths still change and new ones are ignored."""


def cut(entity: dict[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yields the leaves of an entity with their paths.

    >>> list(cut({"a": {"b": 1, "c": {}}, "d": [{"e": 2}]}))
    [(('a', 'b'), 1), (('d',), [{'e': 2}])]
    """
    for name, value in entity.items():
        if isinstance(value, dict):
            yield from cut(value, (*above, name))
        elif name != HIDING:
            yield (*above, name), value


def insert(tree: Tree, path: Path, leaf: Leaf) -> int:
    """Puts one leaf at `path` unless something newer hides it; returns by how many the leaves grew."""
    for name in path[:-1]:
        node = tree.get(name)
        if node is None:
            node = tree[name] = {}
        elif isinstance(node, list):
            if _at_least(node, leaf):
                return 0
            node = tree[name] = {HIDING: node[:2]}
        elif HIDING in node and _at_least(node[HIDING], leaf):
            return 0
        tree = node
    return _put(tree, path[-1], leaf)


def _put(tree: Tree, name: str, leaf: Leaf) -> int:
    node = tree.get(name)
    if node is None:
        tree[name] = leaf
        return 1
    if isinstance(node, list):
        if not _at_least(node, leaf):
            tree[name] = leaf
        return 0
    if HIDING in node and _at_least(node[HIDING], leaf):
        return 0
    before = leaf_count(node)
    _drop_older(node, leaf)
    if node:
        node[HIDING] = leaf[:2]
    else:
        tree[name] = leaf
    return leaf_count(tree[name]) - before


def _at_least(held: Leaf, leaf: Leaf) -> bool:
    """Tells whether `held` is as new as `leaf`: a repeat of the same record changes nothing."""
    return bool(held[0] > leaf[0] or (held[0] == leaf[0] and held[1] >= leaf[1]))


def _drop_older(tree: Tree, leaf: Leaf) -> None:
    for name in list(tree):
        node = tree[name]
        if isinstance(node, dict):
            _drop_older(node, leaf)
            if not node:
                del tree[name]
        elif not _at_least(node, leaf):
            del tree[name]


def leaf_count(node: Any) -> int:
    """Returns the number of leaves and marks at and below `node`."""
    return sum(leaf_count(child) for child in node.values()) if isinstance(node, dict) else 1


def holds(tree: Tree, path: Path) -> bool:
    """Tells whether there is a node at `path` or a leaf above it."""
    node: Any = tree
    for name in path:
        node = node.get(name)
        if not isinstance(node, dict):
            return node is not None
    return True


def leaves(tree: Tree, above: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Yields all leaves, a mark as a null leaf: inserting them all makes an equal tree."""
    for name, node in tree.items():
        if name == HIDING:
            yield above, [*node, None]
        elif isinstance(node, dict):
            yield from leaves(node, (*above, name))
        else:
            yield (*above, name), node


def visible(tree: Tree) -> dict[str, Any]:
    """Returns what shows: leaves that are not null, and objects that hold at least one."""
    shown: dict[str, Any] = {}
    for name, node in tree.items():
        if isinstance(node, dict):
            below = visible(node)
            if below:
                shown[name] = below
        elif name != HIDING and node[2] is not None:
            shown[name] = node[2]
    return shown
