"""The types of the language. `ANY` is what a permissive schema knows about a path: everything is allowed, nothing
assumed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal as OneOf

Kind = OneOf["any", "null", "boolean", "integer", "number", "string", "instant", "duration", "array", "map", "object"]


@dataclass(frozen=True, slots=True, eq=False)
class Type:
    """A type; `item` for arrays and maps, `fields` for objects, `open` for objects that may hold unknown fields."""

    kind: Kind
    item: "Type | None" = None
    fields: Mapping[str, "Type"] = field(default_factory=dict)
    open: bool = False

    def __str__(self) -> str:
        names = {"array": "array of", "map": "map of"}
        return f"{names[self.kind]} {self.item}" if self.kind in names and self.item else self.kind

    @property
    def is_numeric(self) -> bool:
        """Tell whether arithmetic applies without a cast."""
        return self.kind in ("integer", "number", "any", "null")

    def accepts(self, kind: Kind) -> bool:
        """Tell whether a value of this type may be of the kind."""
        return self.kind in ("any", "null", kind) or (kind == "number" and self.kind == "integer")


ANY = Type("any")
NULL = Type("null")
BOOLEAN = Type("boolean")
INTEGER = Type("integer")
NUMBER = Type("number")
STRING = Type("string")
INSTANT = Type("instant")
DURATION = Type("duration")


def array_of(item: Type) -> Type:
    """The type of arrays of `item`."""
    return Type("array", item)


def map_of(item: Type) -> Type:
    """The type of maps from strings to `item`."""
    return Type("map", item)


def item_of(type_: Type) -> Type:
    """The item type of an array or map; ANY for everything else."""
    return type_.item or ANY


def join(left: Type, right: Type) -> Type:
    """The type of a value that is one or the other."""
    if left is right or right.kind == "null":
        return left
    if left.kind == "null":
        return right
    if left.kind == right.kind:
        return (
            left
            if left.kind not in ("array", "map", "object")
            else Type(left.kind, join(item_of(left), item_of(right)))
        )
    if {left.kind, right.kind} == {"integer", "number"}:
        return NUMBER
    return ANY


def comparable(left: Type, right: Type) -> bool:
    """Tell whether `=` between the two can ever hold; an array compares through its items."""
    if left.kind == "array" and right.kind != "array":
        return comparable(item_of(left), right)
    if right.kind == "array" and left.kind != "array":
        return comparable(left, item_of(right))
    if "any" in (left.kind, right.kind) or "null" in (left.kind, right.kind) or left.kind == right.kind:
        return True
    # An instant written as text or as microseconds is read as an instant.
    if "instant" in (left.kind, right.kind):
        return {left.kind, right.kind} <= {"instant", "string", "integer"}
    return left.is_numeric and right.is_numeric
