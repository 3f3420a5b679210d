"""`count >= n`: the commonest question to history, and one that rarely changes its answer.

Where a count is only ever compared with numbers, an event matters to the segments whose number it brings the count to,
and to no other. The horizon a segment keeps may then be too early, never too late: at worst it is judged once more at
that instant and found unchanged.
"""

from collections.abc import Iterable, Mapping

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


def by_number(planned: Iterable[Core]) -> Mapping[LeafSpec, Mapping[int, tuple[int, ...]]]:
    """For each leaf that is only compared with numbers: which expressions (by position) ask for which number."""
    asked: dict[LeafSpec, dict[int, list[int]]] = {}
    spoiled: set[LeafSpec] = set()
    for position, core in enumerate(planned):
        numbers, otherwise = numbers_asked(core)
        spoiled |= otherwise
        for spec, wanted in numbers.items():
            for number in wanted:
                asked.setdefault(spec, {}).setdefault(number, []).append(position)
    return {
        spec: {number: tuple(found) for number, found in wanted.items()}
        for spec, wanted in asked.items()
        if spec not in spoiled
    }
