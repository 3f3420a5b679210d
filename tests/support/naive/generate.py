"""Random expressions, profiles and events over a small vocabulary, so that conditions meet and instants collide."""

from random import Random
from typing import Any

from tests.support.naive.evaluate import NaiveEvent
from tests.support.naive.rare import rare, usual
from tests.support.naive.values import moment

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_709_164_800_000_000
"""2024-02-29T00:00:00Z: a leap day, so that months are uneven."""
TYPES = ("view", "cart", "buy")
WORDS = ("a", "b", "A", "", "ab", "\u00df")
OFFSETS = (0, 1, MINUTE, HOUR, 6 * HOUR, DAY, DAY + 1, 2 * DAY, 7 * DAY, 30 * DAY, 400 * DAY)
NOTS = ("doesNotStartWith", "doesNotEndWith")
FOLDS = ("sum", "average", "min", "max", "variance")
ZONES = ("", "", '("Europe/Berlin")', '("America/New_York")')


def iso(at: int) -> str:
    return moment(at).isoformat()


class Generator:
    """Draws from one seeded source; the same seed gives the same scenario."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.segments: list[str] = []

    def pick(self, *options: Any) -> Any:
        return self.random.choice(options)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    # Data

    def number(self) -> Any:
        return self.pick(0, 1, 2, 3, 5, -1, 0.1, 0.2, 2.5, 1e16, -0.0, 10)

    def odd(self, value: Any) -> Any:
        """The value, or now and then something that does not belong."""
        return self.pick(None, True, "x", 1, [], {}, [1, None]) if self.chance(0.08) else value

    def offset(self) -> int:
        return int(self.pick(*OFFSETS) * self.pick(1, 1, 1, 2))

    def item(self) -> Any:
        fields = {"sku": self.pick(*WORDS), "qty": self.number(), "price": self.odd(self.number())}
        return self.odd({name: value for name, value in fields.items() if self.chance(0.8)})

    def attributes(self) -> dict[str, Any]:
        fields = {
            "tier": self.odd(self.pick(*WORDS)),
            "age": self.odd(self.number()),
            "flag": self.odd(self.chance(0.5)),
            "joined": self.odd(iso(START - self.offset())),
            "renews": self.odd(iso(START + self.offset())),
            "tags": self.odd([self.odd(self.pick(*WORDS)) for _ in range(self.random.randrange(4))]),
            "orders": self.odd([self.item() for _ in range(self.random.randrange(4))]),
            "geo": {"lat": self.odd(self.number()), "lon": self.number()},
            "prefs": self.odd({"x": self.odd(self.pick(*WORDS)), "y": self.number()}),
        }
        return {name: value for name, value in fields.items() if self.chance(0.75)}

    def event(self, number: int, now: int) -> NaiveEvent:
        at = now - self.offset() if self.chance(0.85) else now + self.offset()
        fields = {
            "price": self.odd(self.number()),
            "sku": self.odd(self.pick(*WORDS)),
            "ok": self.odd(self.chance(0.5)),
            "due": self.odd(iso(START + self.offset())),
            "items": self.odd([self.item() for _ in range(self.random.randrange(3))]),
        }
        body = {name: value for name, value in fields.items() if self.chance(0.8)}
        return NaiveEvent(f"e{number}", at, self.pick(*TYPES), body)

    # Time conditions

    def duration(self) -> str:
        short = self.pick("1 millisecond", "1 second", "90 minutes", "60000 milliseconds")
        return str(
            self.pick("0 seconds", "1 minute", "1 hour", "6 hours", "1 day", "2 days", "1 week", "30 days", short)
        )

    def anchor(self) -> str:
        word = self.pick("now", "now", "now", "now", "today", "yesterday", "tomorrow", "this week", "last month")
        if word != "now":
            return f"{word}{self.pick(*ZONES)}"
        return str(word)

    def long(self) -> str:
        return str(self.pick("2 months", "3 years", "1 decade", "2 decades", "1 century", "1 millennium"))

    def when(self) -> str:
        amount = self.pick(self.duration(), self.duration(), "1 month", "1 year", self.long())
        match self.random.randrange(8):
            case 0 | 1 | 2:
                comparison = self.pick("<=", "<", ">", ">=")
                return f"{comparison} {amount} {self.pick('before', 'before', 'after', 'from')} {self.anchor()}"
            case 3:
                unit = self.pick("days", "days", "weeks", "months", "hours")
                anchor = self.pick("now", "today", "today", f"today{self.pick(*ZONES)}")
                return f"= {self.random.randrange(4)} {unit} {self.pick('before', 'after', 'from')} {anchor}"
            case 4:
                return f"{self.pick('before', 'after')} {self.pick(self.anchor(), 'date(2024, 2, 28)')}"
            case 5:
                unit = self.pick("hour", "day", "week", "month", "year", "decade", "century", "millennium")
                return f"{self.pick('this', 'last', 'next')} {unit}{self.pick(*ZONES)}"
            case 6:
                return f"on {self.pick('date(2024, 2, 29)', 'date(2024, 1, 31)', 'today', 'yesterday')}"
            case _:
                low, high = (
                    self.pick("date(2024, 1, 31)", "last week"),
                    self.pick("now", "date(2024, 3, 1)", "tomorrow"),
                )
                return f"between {low} and {high}"

    # Conditions on an event or an item, seen through a prefix

    def on_event(self, depth: int, prefix: str = "", time: bool = True) -> str:
        if depth > 0 and self.chance(0.35):
            return self.joined(lambda: self.on_event(depth - 1, prefix, time))
        options = [
            f'{prefix}eventType = "{self.pick(*TYPES)}"',
            f'{prefix}eventType in ["view", "{self.pick(*TYPES)}"]',
            f"{prefix}price {self.compare()} {self.number()}",
            self.text_test(f"{prefix}sku"),
            f"{prefix}ok",
            f"{prefix}ok = {self.pick('true', 'false')}",
            f"{prefix}items.qty {self.compare()} {self.number()}",
            f"{prefix}items[qty {self.compare()} {self.number()}]",
            f"{prefix}items.{self.pick('isNull', 'isNotNull')}()",
            f"{prefix}items.sum(qty) {self.compare()} {self.number()}",
            f"(exists I from {prefix}items where I.qty {self.compare()} {prefix}price)",
        ]
        if time:
            options += [f"{prefix}timestamp occurs {self.when()}"] * 5 + [f"{prefix}due occurs {self.when()}"]
        if not prefix:
            options += [f"items[price {self.compare()} ^.price]", f"items[qty {self.compare()} ^^.age]"]
        return str(self.pick(*options))

    def joined(self, part: Any) -> str:
        word = self.pick("and", "and", "or", "not")
        return f"not ({part()})" if word == "not" else f"({part()} {word} {part()})"

    def compare(self) -> str:
        return str(self.pick("=", "!=", "<", "<=", ">", ">="))

    def text_test(self, path: str) -> str:
        word = self.pick(*WORDS)
        method = self.pick("equals", "startsWith", "contains", "doesNotContain", "notEqualTo", "endsWith", *NOTS)
        return str(
            self.pick(
                f'{path} = "{word}"',
                f'{path} != "{word}"',
                f'{path} in ["a", "{word}"]',
                f'{path} notIn ["a", "{word}"]',
                f'{path} like "%{word}_"',
                f'{path}.{method}("{word}", {self.pick("true", "false")})',
                f'{path}.matches("^[ab]+$")',
                f'{path}.regexGroup("(.)b?", 1) = "a"',
                f"{path}.{self.pick('isNull', 'isNotNull')}()",
            )
        )

    # Over history

    def events(self, depth: int) -> str:
        source = "xEvent"
        for _ in range(self.pick(0, 1, 1, 1, 2)):
            condition = self.on_event(depth)
            source += f".filter({condition})" if self.chance(0.1) else f"[{condition}]"
        return source

    def amount(self, depth: int) -> str:
        source = self.events(depth)
        path = self.pick("price", "price", "items.qty", "items.price")
        options = [
            *[f"{source}.count()"] * 4,
            *[f"{source}.{self.pick('sum', 'average', 'min', 'max', 'variance')}({path})"] * 4,
            f"{source}.distinct({self.pick('sku', 'eventType', 'price', 'items.sku')}).count()",
            f"{source}.map(price).sum()",
            f"{source}.{self.pick('first', 'last')}({self.pick('price', 'items.qty')})",
            f"{source}.{self.pick('head', 'last')}().price",
            f"{source}.items.count()",
            f"{source}.{self.pick('topN', 'bottomN')}(price, 2).sum(price)",
            f"{source}.groupBy(sku).map((K, G) => G.count()).max()",
            f"{source}.groupBy(sku).keys().count()",
            f"{source}.sessions({self.pick('1 hour', '1 day')}).{self.pick('count()', 'max(count)')}",
            f"{source}.decayedSum(price, {self.pick('1 day', '7 days')})",
            f"({self.pick(*FOLDS)} E.price over E from xEvent where {self.on_event(depth, 'E.')})",
            f"(count E over E from xEvent where {self.on_event(depth, 'E.')})",
            f"(({source}.max(timestamp) - {source}.min(timestamp)) / 1 hour)",
            f"({source}.burst(2) / 1 minute)",
            f"(1 + age + {source}.count())",
            "age",
            "(-age)",
            "orders.sum(qty)",
            "orders.topN(price, 2).head().qty",
            "tags.distinct().count()",
            "joined.getMonth()",
            f"currentDayOfMonth{self.pick('()', *ZONES[2:])}",
            f"if({self.on_profile(0)}, 1, 2)",
            "bucket()",
            str(self.number()),
        ]
        chosen = str(self.pick(*options))
        if depth > 0 and self.chance(0.25):
            return f"({chosen} {self.pick('+', '-', '*', '/', '%')} {self.amount(depth - 1)})"
        return chosen

    def chain(self, depth: int) -> str:
        steps: list[str] = []
        for index in range(self.pick(1, 2, 2, 3)):
            negated = "not " if self.chance(0.25) and (index or self.chance(0.5)) else ""
            when = f" WHEN({self.when()})" if self.chance(0.3) else ""
            gap = (
                f" WITHIN({self.duration()})"
                if self.chance(0.4) and (negated or any(s[:3] != "not" for s in steps))
                else ""
            )
            steps.append(f"{negated}S{index}: WHAT({self.on_event(depth, time=self.chance(0.2))}){when}{gap}")
        if all(step.startswith("not ") for step in steps):
            steps.append('L: WHAT(eventType = "buy")')
        total = f", WITHIN({self.duration()})" if self.chance(0.3) else ""
        source = f'xEvent[eventType != "{self.pick(*TYPES)}"]' if self.chance(0.2) else "xEvent"
        return f"chain({source}, timestamp, [{', '.join(steps)}]{total})"

    # On a profile

    def on_profile(self, depth: int) -> str:
        if depth > 0 and self.chance(0.4):
            return self.joined(lambda: self.on_profile(depth - 1))
        options = [
            self.text_test("tier"),
            self.text_test("tags"),
            f"age {self.compare()} {self.number()}",
            "flag",
            "flag = true",
            f"joined occurs {self.when()}",
            f"renews occurs {self.when()}",
            f"now - joined {self.pick('<', '>=')} {self.pick('1 day', '30 days')}",
            f'tags.{self.pick("intersects", "subsetOf", "supersetOf")}(["a", "{self.pick(*WORDS)}"])',
            f"orders[qty {self.compare()} {self.number()}]",
            f"orders.price {self.compare()} {self.number()}",
            f"forall O from orders : O.qty {self.compare()} 1",
            f"insideBox(geo.lat, geo.lon, -1, -1, {self.number()}, 3)",
            f"distanceKm(geo.lat, geo.lon, 1, 1) < {self.pick(100, 500)}",
            f'prefs.get("x") = "{self.pick(*WORDS)}"',
            'prefs.keys().includes("y")',
            *[
                f"since({self.pick('flag = true', 'age > 1', 'tier.isNull()', 'age.isNotNull()')}) occurs "
                f"{self.pick('<=', '>')} {self.duration()} before now"
            ]
            * 4,
            f'inList("{self.pick("vip", "none")}")',
            "tier = prefs.x",
            *[rare(self)] * 4,
        ]
        return str(self.pick(*options))

    def condition(self, depth: int) -> str:
        if depth > 0 and self.chance(0.35):
            return self.joined(lambda: self.condition(depth - 1))
        source = self.events(depth)
        options = [
            *[f"{self.amount(depth)} {self.compare()} {self.amount(0) if self.chance(0.2) else self.number()}"] * 6,
            *[self.on_profile(depth)] * 3,
            *[self.chain(depth)] * 3,
            *[usual(self)] * 4,
            f"{source}.{self.pick('exists', 'forall')}({self.on_event(depth)})",
            f"exists E from {source} where {self.on_event(depth, 'E.')}",
            f"forall E from {source} where {self.on_event(0, 'E.')} : {self.on_event(depth, 'E.')}",
            f"exists E from xEvent where {self.on_event(0, 'E.')}, I from E.items where I.qty {self.compare()} 1",
            f"exists E from xEvent where E.sku {self.pick('=', '!=')} tier",
            "exists E from xEvent, F from xEvent where F.timestamp > E.timestamp and F.price = E.price",
            f"select E from xEvent where {self.on_event(depth, 'E.')}",
            f"xEvent.price {self.compare()} {self.number()}",
            f'xEvent.items.sku = "{self.pick(*WORDS)}"',
            *[f"{source}.{self.pick('max', 'min')}(timestamp) occurs {self.when()}"] * 3,
            f"{source}.last(timestamp) occurs {self.when()}",
            f"{source}.max(timestamp) {self.pick('<', '>', '=')} {self.events(0)}.min(timestamp)",
            f"{source}.burst({self.pick(2, 3)}) {self.pick('<', '<=', '>')} {self.pick('1 hour', '1 day', '2 days')}",
            f"(let T = {self.amount(0)} in (T > 1 and T < 5))",
            f"exists S from {source}.sessions(6 hours) where S.count > 1 and S.duration < 1 day",
            f"exists E from xEvent where E.timestamp occurs <= {self.duration()} before {source}.max(timestamp)",
            f"xEvent[timestamp occurs after joined].count() {self.compare()} 1",
        ]
        if self.segments:
            other = self.pick(*self.segments)
            options += [f'inSegment("{other}")', f'segmentMembership.get("ups").get("{other}").status = "realized"']
        return str(self.pick(*options))
