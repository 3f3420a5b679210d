"""Conditions on attributes that are seldom written, and those on history that are written most."""

from typing import Any, Protocol


class Draws(Protocol):
    """The part of the generator that is needed here."""

    def pick(self, *options: Any) -> Any: ...
    def compare(self) -> str: ...
    def number(self) -> Any: ...
    def duration(self) -> str: ...


def usual(draw: Draws) -> str:
    """What most segments ask: how many in a window, one thing soon after another. Few types, so that events meet it."""
    first, second, wanted = draw.pick("view", "buy"), draw.pick("view", "buy"), draw.pick(1, 2, 2, 3)
    typed = draw.pick(f'eventType = "{first}" and ', 'eventType != "cart" and ', "")
    options = [
        f"xEvent[{typed}timestamp occurs <= {draw.duration()} before now].count() {draw.compare()} {wanted}",
        f'chain(xEvent, timestamp, [A: WHAT(eventType = "{first}"), B: WHAT(eventType = "{second}") '
        f"WITHIN({draw.duration()})])",
    ]
    return str(draw.pick(*options))


def rare(draw: Draws) -> str:
    """What is seldom written, so that nothing of the language is left out."""
    word, part = draw.pick("a", "A", "", "ab", "\u00df"), draw.pick("Month", "Year", "DayOfMonth")
    compare, zone = draw.compare(), draw.pick("()", '("Europe/Berlin")', '("America/New_York")')
    options = [
        f'tags.intersection(["a", "{word}", "b"]).count() {compare} 1',
        f'tags.intersects(["{word}", "b"])',
        f'"{word}" in tags',
        f'tags.includes("{word}")',
        f'prefs.values() = "{word}"',
        f'profileId() = "{draw.pick("u1", "u2")}"',
        f'bucket("{word}") {compare} 50',
        f"$1.age {compare} {draw.number()}",
        f'{{"a": age, "b": 3}}.get("{draw.pick("a", "b", "c")}") {compare} {draw.number()}',
        f"orders.groupBy(sku).map((K, G) => mapEntry(K, G.sum(qty))).values().max() {compare} {draw.number()}",
        f"orders.forall(qty {compare} 1)",
        *[f"joined.get{part}{zone} {compare} current{part}{zone}"] * 3,
        f'joined {draw.pick("<", ">=")} instant("2024-02-28T12:00:00+01:00")',
        f"since({draw.pick('flag = true', 'age > 1', 'tags.isNotNull()')}) occurs {draw.pick('<=', '>')} 6 hours "
        "before now",
    ]
    return str(draw.pick(*options))
