"""What an expression reads of an event: the fields a general leaf has to keep."""

from typing import NamedTuple

from shared.pql.core import Apply, Attribute, Const, Core, Each, Events, Get, Inside, Segment, Since, Variable, walk
from shared.pql.types import item_of

_OF_MAPS = frozenset({"get", "keys", "values"})
_BY_CONTENT = frozenset({"=", "!=", "in", "notIn", "intersects", "intersection", "subsetOf", "supersetOf"})
_OF_ITEMS = frozenset({"filter", "head", "first", "last", "distinct", "topN", "bottomN", "min", "max"})
_OF_VALUES = frozenset({"map", "flatMap", "distinct", "first", "last", "min", "max"})
_MADE = frozenset({"groupBy", "mapEntries"})
_THROUGH = frozenset({"instant", "instants", "single", "intersection", "array", "if", *_OF_MAPS})


class Read(NamedTuple):
    """Names of fields, at every depth; of those in `whole` (sorted) everything inside."""

    names: frozenset[str]
    whole: tuple[str, ...]


def read_of(core: Core) -> Read | None:
    """The names the expression reads anywhere, or None if it may read whole events or items.

    A field's value is mostly taken apart further, or compared with text or a number. Where it may be an object or a
    map that is looked at as a whole (`keys()`, equality by content), all of it has to be kept.
    """
    names, whole = {"timestamp", "eventType"}, set[str]()
    for node in walk(core):
        if isinstance(node, Get):
            names.add(node.name)
        for value in _looked_at(node):
            found = _ends(value)
            if found is None:
                return None
            whole |= found
    return Read(frozenset(names), tuple(sorted(whole)))


def _looked_at(node: Core) -> list[Core]:
    """The values that this node looks at as a whole, as far as they may lie in events."""
    looked: list[Core] = []
    if isinstance(node, Apply) and node.operation in _OF_MAPS:
        looked = [node.arguments[0]]
    elif isinstance(node, Apply) and node.operation in _BY_CONTENT and all(map(_may_hold_objects, node.arguments)):
        looked = list(node.arguments)
    elif isinstance(node, Each) and node.operation == "mapEntries":
        looked = [node.source]
    elif isinstance(node, Each) and node.operation == "distinct":
        looked = [value for value in [node.body or node.source] if _may_hold_objects(value)]
    # Groups and new maps are not JSON themselves; what their items are read for is judged where it is read.
    old = [value for value in looked if not (isinstance(value, Each) and value.operation in _MADE)]
    return [value for value in old if any(isinstance(inner, Variable | Events) for inner in walk(value))]


def _may_hold_objects(node: Core) -> bool:
    type_ = node.type
    while type_.kind == "array":
        type_ = item_of(type_)
    return type_.kind in ("any", "object", "map")


def _ends(node: Core) -> set[str] | None:
    """The names of the fields whose values a value consists of; None if it may be an event or an item itself."""
    match node:
        case Get(name=name):
            return {name}
        case Const() | Attribute() | Inside() | Segment() | Since():
            return set()
        case Each(operation=operation, body=body) if body is not None and operation in _OF_VALUES:
            return _ends(body)
        case Each(operation=operation, source=source) if operation in _OF_ITEMS | _MADE:
            return _ends(source)
        case Apply(operation=operation, arguments=arguments) if operation in _THROUGH:
            found: set[str] = set()
            for argument in arguments:
                inner = _ends(argument)
                if inner is None:
                    return None
                found |= inner
            return found
    return None
