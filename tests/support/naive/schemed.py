"""Random schemas, values that mostly keep to them, and expressions over their paths.

A field's name tells its type (`t1` text, `i2` integer, `n3` number, `b4` boolean, `d5` instant, `a6` array, `o7`
object, `m8` map) and is given once in a schema: the naive evaluator reads instants by their names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.naive.evaluate import NaiveEvent
from tests.support.naive.generate import START, TYPES, WORDS, Generator, iso

_SCALARS = {"t": "string", "i": "integer", "n": "number", "b": "boolean", "d": "string"}
_FIELDS_MAX = 5
_DEPTH_MAX = 2


@dataclass(frozen=True)
class Shape:
    """A declared type: `kind` is the letter of its names; `item` of arrays and maps, `fields` of objects."""

    kind: str
    item: "Shape | None" = None
    fields: dict[str, "Shape"] = field(default_factory=dict)

    def schema(self) -> dict[str, Any]:
        """The type as JSON Schema."""
        match self.kind:
            case "a":
                return {"type": "array", "items": self._item.schema()}
            case "m":
                return {"type": "object", "additionalProperties": self._item.schema()}
            case "o":
                return {"type": "object", "properties": {name: one.schema() for name, one in self.fields.items()}}
            case "d":
                return {"type": "string", "format": "date-time"}
        return {"type": _SCALARS[self.kind]}

    @property
    def _item(self) -> "Shape":
        assert self.item is not None
        return self.item

    def paths(self, prefix: str = "") -> Iterator[tuple[str, "Shape"]]:
        """All dotted paths below an object, through objects only."""
        for name, shape in self.fields.items():
            yield prefix + name, shape
            if shape.kind == "o":
                yield from shape.paths(f"{prefix}{name}.")


class Schemed(Generator):
    """A generator whose vocabulary is a random schema."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.names = 0
        self.profile_shape = self.object(0)
        self.event_shape = self.object(0)

    # Schemas and values

    def object(self, depth: int) -> Shape:
        """An object of two to five fields."""
        shapes = (self.shape(depth + 1) for _ in range(self.random.randint(2, _FIELDS_MAX)))
        return Shape("o", fields={self.name(shape): shape for shape in shapes})

    def name(self, shape: Shape) -> str:
        self.names += 1
        return f"{shape.kind}{self.names}"

    def shape(self, depth: int) -> Shape:
        kind = self.pick(*"tinbd", *("aaom" if depth <= _DEPTH_MAX else ""))
        if kind == "o":
            return self.object(depth)
        if kind not in "am":
            return Shape(kind)
        inner = (
            self.object(depth + 1) if self.chance(0.4) else Shape(self.pick(*"tinbd", *("a" if kind == "a" else "")))
        )
        return Shape(kind, item=Shape("a", item=Shape(self.pick(*"tid"))) if inner.kind == "a" else inner)

    def instants(self) -> dict[str, bool]:
        """The names whose values are instants or arrays of them, or (true) maps of either."""
        return {**_instants(self.profile_shape), **_instants(self.event_shape)}

    def value(self, shape: Shape) -> Any:
        """A value of the type, now and then something that does not belong."""
        return self.odd(self._value(shape))

    def _value(self, shape: Shape) -> Any:
        match shape.kind:
            case "t":
                return self.pick(*WORDS)
            case "i":
                return self.pick(0, 1, 2, 3, -1, 10)
            case "n":
                return self.number()
            case "b":
                return self.chance(0.5)
            case "d":
                return iso(START + self.pick(-1, -1, 1) * self.offset())
            case "o":
                return {name: self.value(one) for name, one in shape.fields.items() if self.chance(0.85)}
        assert shape.item is not None
        if shape.kind == "m":
            return {key: self.value(shape.item) for key in ("x", "y", "z") if self.chance(0.6)}
        return [self.value(shape.item) for _ in range(self.random.randrange(4))]

    def attributes(self) -> dict[str, Any]:
        return {name: self.value(one) for name, one in self.profile_shape.fields.items() if self.chance(0.8)}

    def event(self, number: int, now: int) -> NaiveEvent:
        at = now - self.offset() if self.chance(0.85) else now + self.offset()
        body = {name: self.value(one) for name, one in self.event_shape.fields.items() if self.chance(0.85)}
        return NaiveEvent(f"e{number}", at, self.pick(*TYPES), body)

    # Conditions

    def on_event(self, depth: int, prefix: str = "", time: bool = True) -> str:
        if depth > 0 and self.chance(0.35):
            return self.joined(lambda: self.on_event(depth - 1, prefix, time))
        options = [
            f'{prefix}eventType = "{self.pick(*TYPES)}"',
            f'{prefix}eventType in ["view", "{self.pick(*TYPES)}"]',
        ]
        options += [self.about(self.event_shape, prefix, 1) for _ in range(4)]
        if time:
            options += [f"{prefix}timestamp occurs {self.when()}"] * 3
        return str(self.pick(*options))

    def on_profile(self, depth: int) -> str:
        if depth > 0 and self.chance(0.4):
            return self.joined(lambda: self.on_profile(depth - 1))
        if self.chance(0.1):
            condition = self.about(self.profile_shape, "", 0, time=False)
            return f"since({condition}) occurs {self.pick('<=', '>')} {self.duration()} before now"
        return self.about(self.profile_shape, self.pick("", "", "", "$1."), 1)

    def about(self, shape: Shape, prefix: str, depth: int, time: bool = True) -> str:
        """A condition on a random path of an object."""
        path, found = self.pick(*shape.paths())
        return self.test(f"{prefix}{path}", found, depth, time)

    def test(self, path: str, shape: Shape, depth: int, time: bool = True) -> str:
        """A condition on a value of the type."""
        exists = f"{path}.{self.pick('isNull', 'isNotNull')}()"
        if self.chance(0.1):
            return exists
        match shape.kind:
            case "t":
                return self.text_test(path)
            case "i" | "n":
                listed = f"{path} {self.pick('in', 'notIn')} [0, {self.number()}]"
                return str(self.pick(f"{path} {self.compare()} {self.number()}", listed, f"{path} * 2 > {path} + 1"))
            case "b":
                return str(self.pick(path, f"{path} = true", f"{path} != false", f"not {path}"))
            case "d":
                return self._date_test(path, time)
            case "o":
                return self.about(shape, f"{path}.", depth, time)
            case "m":
                return self._map_test(path, shape, depth, time)
        return self._array_test(path, shape, depth, time)

    def _date_test(self, path: str, time: bool) -> str:
        fixed = f'instant("{iso(START - self.offset())}")'
        options = [f"{path} {self.compare()} {fixed}", f"{path}.get{self.pick('Month', 'Year', 'DayOfMonth')}() > 2"]
        options += [f"{path} {self.pick('in', 'notIn')} [{fixed}, {fixed}]"]
        if time:
            options += [f"{path} occurs {self.when()}"] * 4 + [f"now - {path} {self.pick('<', '>=')} {self.duration()}"]
        return str(self.pick(*options))

    def _map_test(self, path: str, shape: Shape, depth: int, time: bool) -> str:
        assert shape.item is not None
        key = self.pick("x", "y", "w")
        inner = self.test(f'{path}.get("{key}")', shape.item, depth, time)
        options = [inner, inner, f'{path}.keys().includes("{key}")', f"{path}.values().count() {self.compare()} 1"]
        options += [f"{path}.map((K, V) => V).count() > {self.random.randrange(3)}"]
        if shape.item.kind in "tinbd":
            options += [self.test(f"{path}.{key}", shape.item, depth, time)]
            options += [self.test(f"{path}.values()", Shape("a", item=shape.item), depth, time)]
        return str(self.pick(*options))

    def _array_test(self, path: str, shape: Shape, depth: int, time: bool) -> str:
        item = shape.item
        assert item is not None
        options = [f"{path}.count() {self.compare()} {self.random.randrange(3)}"]
        if item.kind == "o":
            options += [f"{self.measure(path, shape)} {self.compare()} {self.number()}"] * 3
            inner = self.about(item, "", depth - 1, time) if depth > 0 else self.about(item, "", 0, time)
            named = self.about(item, "I.", depth - 1, time)
            options += [f"{path}[{inner}]", f"{path}.{self.pick('exists', 'forall')}({inner})"]
            options += [
                f"(exists I from {path} where {named})",
                f"(forall I from {path} where I.isNotNull() : {named})",
            ]
            options += [f"{path}[{inner}].count() {self.compare()} 1"]
            scalar = [(p, s) for p, s in item.paths() if s.kind in "tinb"]
            if scalar:
                below, kind = self.pick(*scalar)
                options += [self.test(f"{path}.{below}", kind, depth, time)] * 2
            return str(self.pick(*options))
        if item.kind == "a":
            return str(self.pick(*options, f"(exists I from {path} where {self.test('I', item, 0, time)})"))
        named = self.test("I", item, 0, time)
        options += [f"(exists I from {path} where {named})", f"(forall I from {path} : {named})"]
        options += [f"{path}.filter((I) => {named}).count() {self.compare()} 1"]
        options += [
            self.test(path, item, 0, time),
            self.test(f"{path}.{self.pick('head', 'first', 'last')}()", item, 0, time),
        ]
        if item.kind == "d":
            options += [self.test(f"{path}.{self.pick('min', 'max')}()", item, 0, time)]
            fixed = f'["{iso(START - self.offset())}", "{iso(START)}"]'
            options += [f"{path}.{self.pick('intersects', 'subsetOf', 'supersetOf')}({fixed})"]
        if item.kind == "t":
            options += [f'{path}.{self.pick("intersects", "subsetOf", "supersetOf")}(["a", "{self.pick(*WORDS)}"])']
        return str(self.pick(*options))

    # Amounts

    def measure(self, path: str, shape: Shape) -> str:
        """A number out of an array of objects."""
        assert shape.item is not None
        found = list(shape.item.paths())
        numbers = [p for p, s in found if s.kind in "in"] + [
            f"{p}.{q}"
            for p, s in found
            if s.kind == "a" and s.item and s.item.kind == "o"
            for q, t in s.item.paths()
            if t.kind in "in"
        ]
        scalars = [p for p, s in found if s.kind in "tinb"]
        options = [f"{path}.count()"]
        if numbers:
            number = self.pick(*numbers)
            options += [f"{path}.{self.pick('sum', 'average', 'min', 'max', 'variance')}({number})"] * 3
            options += [f"(sum I.{number} over I from {path} where I.{number} > 0)", f"{path}.map({number}).sum()"]
            options += [f"{path}.{self.pick('first', 'last')}({number})"] if "a" not in number else []
        if scalars:
            scalar = self.pick(*scalars)
            options += [f"{path}.distinct({scalar}).count()", f"{path}.groupBy({scalar}).keys().count()"]
            options += [f"{path}.groupBy({scalar}).map((K, G) => G.count()).max()"]
            ordered = [p for p, s in found if s.kind in "tin"]
            options += [f"{path}.{self.pick('topN', 'bottomN')}({self.pick(*ordered)}, 2).count()"] if ordered else []
        return str(self.pick(*options))

    def amount(self, depth: int) -> str:
        events = self.measure(self.events(depth), Shape("a", item=self.event_shape))
        arrays = [(p, s) for p, s in self.profile_shape.paths() if s.kind == "a" and s.item and s.item.kind == "o"]
        numbers = [p for p, s in self.profile_shape.paths() if s.kind in "in"]
        options = [events] * 4 + [self.measure(p, s) for p, s in arrays] + numbers
        options += [f"if({self.on_profile(0)}, 1, 2)", str(self.number())]
        chosen = str(self.pick(*options))
        if depth > 0 and self.chance(0.25):
            return f"({chosen} {self.pick('+', '-', '*', '/', '%')} {self.amount(depth - 1)})"
        return chosen

    def condition(self, depth: int) -> str:
        if depth > 0 and self.chance(0.3):
            return self.joined(lambda: self.condition(depth - 1))
        source = self.events(depth)
        options = [f"{self.amount(depth)} {self.compare()} {self.amount(0) if self.chance(0.2) else self.number()}"] * 4
        options += [self.on_profile(depth)] * 3 + [self.chain(depth)] * 2
        options += [
            f"{source}.{self.pick('exists', 'forall')}({self.on_event(depth)})",
            f"exists E from {source} where {self.on_event(depth, 'E.')}",
            f"forall E from {source} where {self.on_event(0, 'E.')} : {self.on_event(depth, 'E.')}",
            f"select E from xEvent where {self.on_event(depth, 'E.')}",
            f"{source}.{self.pick('max', 'min', 'last')}(timestamp) occurs {self.when()}",
        ]
        event_scalars = [(p, s) for p, s in self.event_shape.paths() if s.kind in "tinb"]
        if event_scalars:
            path, shape = self.pick(*event_scalars)
            options += [self.test(f"xEvent.{path}", shape, 0)]
            same = [p for p, s in self.profile_shape.paths() if s.kind == shape.kind]
            if same:
                options += [f"xEvent[{path} {self.pick('=', '!=')} ^.{self.pick(*same)}].count() > 0"]
        if self.segments:
            options += [f'inSegment("{self.pick(*self.segments)}")']
        return str(self.pick(*options))


def _instants(shape: Shape) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for name, one in shape.fields.items():
        inner = one
        while inner.kind in "am" and inner.item is not None:
            inner = inner.item
        if inner.kind == "d":
            found[name] = one.kind == "m"
        found |= _instants(inner) if inner.kind == "o" else {}
    return found
