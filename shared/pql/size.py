"""The size of a syntax tree, limited before anything recurses over it."""

from shared.pql.errors import LimitError
from shared.pql.syntax import Query, children

HEIGHT_MAX = 64
NODES_MAX = 4_000
_HINT = "split it into segments and refer to them with inSegment(..)"


def check_size(query: Query) -> None:
    """Refuse a tree that is too high or has too many nodes, with the figures."""
    # Iterative on purpose: everything after this may recurse over the tree without fear for the stack.
    nodes, level, height = 0, [query.body], 0
    while level:
        nodes += len(level)
        height += 1
        if height > HEIGHT_MAX:
            raise LimitError(f"the expression's tree is higher than {HEIGHT_MAX} levels", level[0].span, _HINT)
        level = [child for node in level for child in children(node)]
    if nodes > NODES_MAX:
        raise LimitError(f"the expression has {nodes} nodes, the limit is {NODES_MAX}", query.span, _HINT)
