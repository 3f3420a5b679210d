"""Syntax tree + schema → typed tree: names are resolved, sugar is removed, types are checked.

`Checker.lower` is the whole of it: one rule for each syntax node. Rules for calls and for time stand in their own
modules.
"""

from dataclasses import dataclass
from typing import Final

from shared.pql import check_calls, check_time
from shared.pql.check_arrays import fold, need_array
from shared.pql.check_names import not_an_object, unknown_field
from shared.pql.check_values import as_declared, conjunction, negate, truth
from shared.pql.core import Apply, Attribute, Const, Core, Each, Events, Get, Variable, walk
from shared.pql.errors import CheckError, LimitError, PqlError, Span
from shared.pql.schema import Schema
from shared.pql.scope import Scope
from shared.pql.syntax import (
    Aggregate,
    ArrayLiteral,
    Binding,
    CalendarUnit,
    Call,
    Chain,
    DurationLiteral,
    Field,
    Filter,
    Lambda,
    Let,
    Literal,
    Name,
    Node,
    ObjectLiteral,
    Occurs,
    Parameter,
    Quantifier,
    Query,
    Select,
    TimeWord,
    Up,
    children,
)
from shared.pql.types import ANY, BOOLEAN, DURATION, INTEGER, NULL, NUMBER, STRING, Type, array_of, item_of, join

NODES_MAX: Final = 8_000
_UNFOLDS = "a `let` repeats its value at every use: use it less often, or make it a segment of its own"
_LITERALS = {str: STRING, int: INTEGER, float: NUMBER, bool: BOOLEAN, type(None): NULL}


def check(query: Query, schema: Schema, text: str) -> Core:
    """Type the query; raises CheckError or LimitError with spans into `text`."""
    try:
        checker = Checker(schema)
        root = Attribute((), type=schema.profile)
        scope = Scope((root,), (root,))
        if len(query.parameters) > 1:
            raise CheckError("an expression has one parameter, the profile", query.span, "write `(Profile) => ...`")
        for name in query.parameters:
            scope = scope.naming(name, root)
        return checker.lower(query.body, scope)
    except PqlError as error:
        raise error.locate(text) from None


@dataclass(slots=True)
class Checker:
    """Lowers nodes against one schema; counts what it makes, since `let` repeats its value at every use."""

    schema: Schema
    made: int = 0

    def lower(self, node: Node, scope: Scope) -> Core:
        """The typed tree of a node."""
        self.made += 1
        if self.made > NODES_MAX:
            raise LimitError(f"the expression unfolds to more than {NODES_MAX} nodes", node.span, _UNFOLDS)
        match node:
            case Literal(value=value):
                return Const(value, type=_LITERALS[type(value)], span=node.span)
            case DurationLiteral():
                return Const(check_time.fixed_micros(node), type=DURATION, span=node.span)
            case Name(name=name):
                return self._name(name, scope, node.span)
            case Field(target=target, name=name):
                return self.field(self.lower(target, scope), name, node.span)
            case Call():
                return check_calls.lower(self, node, scope)
            case Filter(source=source, condition=condition):
                return self._filter(source, condition, scope, node.span)
            case Occurs():
                return check_time.occurs(self, node, scope)
            case TimeWord() | CalendarUnit():
                return check_time.start_of(node)
            case Chain():
                return check_time.chain(self, node, scope)
            case _:
                return self._binder(node, scope)

    def _binder(self, node: Node, scope: Scope) -> Core:
        match node:
            case Quantifier(kind=kind, bindings=bindings):
                return self._quantifier(kind, bindings, scope, node.span)
            case Select(name=name, source=source, condition=condition):
                return self._narrowed(name, self.array(source, scope), condition, scope, node.span)
            case Aggregate(function=function, value=value, name=name, source=source, condition=condition):
                narrowed = self._narrowed(name, self.array(source, scope), condition, scope, node.span)
                inner = scope.binding(name, item_of(narrowed.type))
                body = None if function == "count" else self.lower(value, inner)
                return fold(function, narrowed, scope.level, body, (), node.span)
            case Let(name=name, value=value, body=body_node):
                lowered = self.lower(value, scope)
                self.made += self._size(lowered, body_node, name)
                return self.lower(body_node, scope.naming(name, lowered))
            case ArrayLiteral(items=items):
                lowered_items = tuple(self.lower(item, scope) for item in items)
                return Apply("array", lowered_items, type=array_of(_joined(lowered_items)), span=node.span)
            case ObjectLiteral(entries=entries):
                values = tuple(self.lower(value, scope) for _, value in entries)
                keys = tuple(Const(key, type=STRING) for key, _ in entries)
                fields = {key: value.type for (key, _), value in zip(entries, values, strict=True)}
                return Apply("object", keys + values, type=Type("object", fields=fields), span=node.span)
            case Parameter(position=position):
                if not 1 <= position <= len(scope.parameters):
                    raise CheckError(f"there is no parameter ${position}", node.span, "the profile is `$1`")
                return scope.parameters[position - 1]
            case Up(levels=levels):
                return self._up(levels, scope, node.span)
            case Lambda():
                hint = "write `.map((E) => E.price)`, or name the item with `exists E from ..`"
                raise CheckError("a lambda is only allowed as an argument of `map` and its like", node.span, hint)
        raise CheckError(f"{type(node).__name__} is not allowed here", node.span, "write a value or a condition")

    def _size(self, value: Core, body: Node, name: str) -> int:
        """What the repetition of a `let` value adds: every use carries the whole value."""
        size = sum(1 for _ in walk(value))
        return size * max(0, _uses(body, name) - 1)

    def _name(self, name: str, scope: Scope, span: Span) -> Core:
        if name in scope.variables:
            return scope.variables[name]
        if name == "xEvent":
            return Events(type=array_of(self.schema.event), span=span)
        return self.field(scope.implicit[-1], name, span, scope)

    def _up(self, levels: int, scope: Scope, span: Span) -> Core:
        if levels >= len(scope.implicit):
            raise CheckError(f"`{'^' * levels}` climbs out of the outermost filter", span, "use fewer `^`")
        return scope.implicit[-1 - levels]

    def field(self, target: Core, name: str, span: Span, scope: Scope | None = None) -> Core:
        """`target.name`: a field of an object, a key of a map, or either of each item of an array."""
        kind = target.type.kind
        if kind == "array":
            level = max((n.level for n in walk(target) if hasattr(n, "level")), default=-1) + 1
            item = self.field(_item(target, level), name, span)
            inner = item_of(item.type) if item.type.kind == "array" else item.type
            return Each("flatMap", target, level, item, type=array_of(inner), span=span)
        if kind == "object":
            found = target.type.fields.get(name)
            if found is None and not target.type.open:
                raise unknown_field(name, target, span, self.schema, scope.implicit[:-1] if scope else None)
            return self._typed(target, name, found or ANY, span)
        if kind in ("any", "map"):
            return self._typed(target, name, item_of(target.type), span)
        raise not_an_object(name, target, span)

    def _typed(self, target: Core, name: str, type_: Type, span: Span) -> Core:
        if isinstance(target, Attribute):
            result: Core = Attribute((*target.path, name), type=type_, span=span)
        else:
            result = Get(target, name, type=type_, span=span)
        # An event's own timestamp is no text, but microseconds already.
        is_event_time = target.type is self.schema.event and name == "timestamp"
        return result if is_event_time else as_declared(result)

    def array(self, node: Node, scope: Scope) -> Core:
        """Lower a node that must be an array (or of unknown type)."""
        return need_array(self.lower(node, scope), "this form", node.span)

    def condition(self, node: Node, scope: Scope) -> Core:
        """Lower a node that is used as a condition."""
        return truth(self.lower(node, scope))

    def item(self, node: Node, source: Core, scope: Scope, count: int = 1) -> Core:
        """Lower an argument judged per item: a lambda names the item, anything else sees it as the implicit object."""
        type_ = item_of(source.type)
        if not isinstance(node, Lambda):
            return self.lower(node, scope.inside(type_))
        if len(node.parameters) != count:
            expected = "one parameter, the item" if count == 1 else "two parameters, key and value"
            hint = f"write `{'(E) => E.price' if count == 1 else '(K, G) => mapEntry(K, G.count())'}`"
            raise CheckError(f"the lambda has {len(node.parameters)} parameters, expected {expected}", node.span, hint)
        if count == 1:
            return self.lower(node.body, scope.binding(node.parameters[0], type_))
        inner = scope.binding(node.parameters[0], STRING).binding(node.parameters[1], type_)
        # A map lies in JSON as it is; an array has been read as its type where it was reached.
        value = as_declared(inner.variables[node.parameters[1]])
        return self.lower(node.body, inner.naming(node.parameters[1], value))

    def _filter(self, source: Node, condition: Node, scope: Scope, span: Span) -> Core:
        items = need_array(self.lower(source, scope), "a filter", source.span)
        body = truth(self.item(condition, items, scope))
        return Each("filter", items, scope.level, body, type=_array(items.type), span=span)

    def _narrowed(self, name: str, items: Core, condition: Node | None, scope: Scope, span: Span) -> Core:
        if condition is None:
            return items
        body = self.condition(condition, scope.binding(name, item_of(items.type)))
        return Each("filter", items, scope.level, body, type=_array(items.type), span=span)

    def _quantifier(self, kind: str, bindings: tuple[Binding, ...], scope: Scope, span: Span) -> Core:
        binding, rest = bindings[0], bindings[1:]
        items = self.array(binding.source, scope)
        inner = scope.binding(binding.name, item_of(items.type))
        narrow = [self.condition(binding.narrow, inner)] if binding.narrow else []
        demand = [self.condition(binding.demand, inner)] if binding.demand else []
        if rest:
            demand.append(self._quantifier(kind, rest, inner, span))
        if kind == "forall":
            # For all x: d(x) is: there is no x with not d(x). The logic has two values, so this is exact.
            demand = [negate(conjunction(demand, span))]
        body = conjunction([*narrow, *demand], span)
        found = Each("filter", items, scope.level, body, type=_array(items.type), span=span)
        result = Apply("nonempty", (found,), type=BOOLEAN, span=span)
        return result if kind == "exists" else negate(result)


def _array(type_: Type) -> Type:
    return type_ if type_.kind == "array" else array_of(ANY)


def _item(source: Core, level: int) -> Core:
    return Variable(level, type=item_of(source.type))


def _joined(items: tuple[Core, ...]) -> Type:
    result: Type = NULL
    for item in items:
        result = join(result, item.type)
    return result if items else ANY


def _uses(node: Node, name: str) -> int:
    uses, stack = 0, [node]
    while stack:
        current = stack.pop()
        uses += isinstance(current, Name) and current.name == name
        stack.extend(children(current))
    return uses
