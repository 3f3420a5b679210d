"""`count >= n`: the commonest question to history, and one that rarely changes its answer.

An event matters to the conditions that compare a count with the very number it brings the count to, and to no other of
those: one look-up tells which, however many there are. The horizon a condition keeps may then be too early, never too
late: at worst it is judged once more at that instant and found unchanged.
"""

from shared.pql.core import Apply, Const, Core, parts
from shared.pql.leaves.base import LeafSpec, Recall

_WANTED = {">=": (0, False), ">": (1, False), "<": (0, True), "<=": (1, True)}
_MIRRORED = {">=": "<=", ">": "<", "<": ">", "<=": ">="}


def threshold(node: Core) -> tuple[LeafSpec, int, bool] | None:
    """Read a comparison as (leaf, n, negated): `count >= n`, or `not (count >= n)`; None if it is none."""
    if not (isinstance(node, Apply) and node.operation in _WANTED):
        return None
    left, right, operation = *node.arguments, node.operation
    if isinstance(left, Const):
        left, right, operation = right, left, _MIRRORED[operation]
    if not (isinstance(left, Recall) and isinstance(right, Const) and type(right.value) is int):
        return None
    if left.leaf.function != "count" or left.leaf.body is not None:
        return None
    more, negated = _WANTED[operation]
    return left.leaf, right.value + more, negated


def numbers_asked(planned: Core) -> tuple[dict[LeafSpec, set[int]], set[LeafSpec]]:
    """For each leaf the numbers it is compared with, and the leaves whose value is used otherwise."""
    numbers: dict[LeafSpec, set[int]] = {}
    otherwise: set[LeafSpec] = set()
    stack = [planned]
    while stack:
        node = stack.pop()
        found = threshold(node)
        if found is not None:
            numbers.setdefault(found[0], set()).add(found[1])
        elif isinstance(node, Recall):
            otherwise.add(node.leaf)
        else:
            stack.extend(parts(node))
    return numbers, otherwise
