"""Realistic mixed segments, seeded: what marketers ask, about event types as unevenly as they ask.

A definition may come with the same condition in SQL over the events (see `duck.py`), where SQL can say it in one
aggregation over a user's events; sequences and profile attributes cannot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.bench.pql.workload import Workload

_TYPES = {
    "commerce.productViews": 28,
    "commerce.purchases": 18,
    "commerce.productListAdds": 15,
    "web.webpagedetails.pageViews": 15,
    "commerce.checkouts": 8,
    "ga4.session_start": 6,
    "ga4.view_search_results": 4,
    "ga4.user_engagement": 3,
    "ga4.select_promotion": 3,
}
"""Share of definitions about an event type: the valuable, rare events are asked for more than the frequent ones."""
_WINDOWS = ((1, "hour"), (24, "hours"), (3, "days"), (7, "days"), (14, "days"), (30, "days"))
_COUNTS = (1, 1, 1, 2, 2, 3, 5, 10, 20)
_KINDS = {"attribute": 10, "event": 18, "count": 17, "windows": 20, "sum": 12, "sequence": 10, "negation": 13}


@dataclass(frozen=True, slots=True)
class Definition:
    """A segment's kind, its PQL, and its SQL if one aggregation over the user's events can say it."""

    kind: str
    pql: str
    sql: str | None


def definitions(count: int, workload: Workload, seed: int = 7) -> list[Definition]:
    """The first `count` of an endless list: a smaller set is part of every larger one."""
    writer = _Writer(Random(seed), workload)
    return [writer.definition() for _ in range(count)]


class _Writer:
    def __init__(self, random: Random, workload: Workload) -> None:
        self.random = random
        self.values = workload.values
        weights = {type_: weight for type_, weight in _TYPES.items() if type_ in self.values["eventType"]}
        # Other sources have other types: then by how common they are.
        self.types = weights or {t: 10 - min(9, i) for i, t in enumerate(self.values["eventType"])}

    def definition(self) -> Definition:
        kind = self._weighted(_KINDS)
        text, sql = getattr(self, f"_{kind}")()
        return Definition(kind, text, sql)

    def _weighted(self, weights: dict[str, int]) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def _value(self, path: str) -> str:
        """A text that occurs, common ones more often (rank drawn by its square)."""
        found: Sequence[str] = self.values[path] or ["none"]
        return found[int(len(found) * self.random.random() ** 2)].replace('"', "").replace("\\", "")

    def _events(self, narrow: float) -> tuple[str, str]:
        """A condition on events: a type and, with the chance `narrow`, one attribute."""
        type_ = self._weighted(self.types)
        pql, sql = f'eventType = "{type_}"', f"type = '{type_}'"
        if self.random.random() < narrow:
            path = self._weighted(
                {
                    "productListItems.SKU": 40 if type_ in ("commerce.productListAdds",) else 0,
                    "web.webPageDetails.name": 50,
                    "placeContext.geo.country": 35,
                    "device.type": 15,
                }
            )
            value = self._value(path)
            pql += f' and {path} = "{value}"'
            sql += f" and {_COLUMNS[path]} = '{_quoted(value)}'"
        return pql, sql

    def _window(self) -> tuple[str, str]:
        count, unit = self.random.choice(_WINDOWS)
        return f"timestamp occurs <= {count} {unit} before now", f"ts >= $now - {count * _MICROS[unit]}"

    def _attribute(self) -> tuple[str, None]:
        return self.random.choice(
            [
                f'loyalty.tier = "{self.random.choice(["silver", "gold"])}" '
                f'and homeAddress.countryCode = "{self.random.choice(["US", "DE", "GB", "IN", "JP", "CA"])}"',
                f"person.birthYear >= {self.random.randrange(1950, 2005)}",
                f"loyalty.points > {self.random.randrange(0, 1_000, 10)}",
            ]
        ), None

    def _event(self) -> tuple[str, str]:
        pql, sql = self._events(0.9)
        return f"xEvent[{pql}]", f"count(*) filter ({sql}) > 0"

    def _count(self) -> tuple[str, str]:
        (pql, sql), wanted = self._events(0.6), self.random.choice(_COUNTS)
        return f"xEvent[{pql}].count() >= {wanted}", f"count(*) filter ({sql}) >= {wanted}"

    def _windows(self) -> tuple[str, str]:
        (pql, sql), (window, since), wanted = self._events(0.6), self._window(), self.random.choice(_COUNTS)
        return (
            f"xEvent[{pql} and {window}].count() >= {wanted}",
            f"count(*) filter ({sql} and {since}) >= {wanted}",
        )

    def _sum(self) -> tuple[str, str]:
        pql, sql = 'eventType = "commerce.purchases"', "type = 'commerce.purchases'"
        if self.random.random() < 0.5:
            country = self._value("placeContext.geo.country")
            pql, sql = f'{pql} and placeContext.geo.country = "{country}"', f"{sql} and country = '{_quoted(country)}'"
        if self.random.random() < 0.6:
            window, since = self._window()
            pql, sql = f"{pql} and {window}", f"{sql} and {since}"
        wanted, function = self.random.randrange(10, 500, 5), self.random.choice(["sum", "sum", "average"])
        in_sql = {"sum": "sum", "average": "avg"}[function]
        return (
            f"xEvent[{pql}].{function}(commerce.order.priceTotal) >= {wanted}",
            f"{in_sql}(price) filter ({sql}) >= {wanted}",
        )

    def _sequence(self) -> tuple[str, None]:
        steps = []
        for index in range(self.random.choice((2, 2, 2, 3))):
            gap = self.random.choice(("", " WITHIN(30 minutes)", " WITHIN(24 hours)", " WITHIN(7 days)"))
            steps.append(f"S{index}: WHAT({self._events(0.4)[0]}){gap if index else ''}")
        if self.random.random() < 0.3:
            steps.append(f"not N: WHAT({self._events(0.2)[0]})")
        return f"chain(xEvent, timestamp, [{', '.join(steps)}])", None

    def _negation(self) -> tuple[str, str]:
        (some, some_sql), (none, none_sql), (window, since) = self._events(0.5), self._events(0.2), self._window()
        return (
            f"xEvent[{some} and {window}] and not xEvent[{none} and {window}]",
            f"count(*) filter ({some_sql} and {since}) > 0 and count(*) filter ({none_sql} and {since}) = 0",
        )


_COLUMNS = {
    "productListItems.SKU": "sku",
    "web.webPageDetails.name": "page",
    "placeContext.geo.country": "country",
    "device.type": "device",
}
_MICROS = {"hour": 3_600_000_000, "hours": 3_600_000_000, "days": 86_400_000_000}


def _quoted(text: str) -> str:
    return text.replace("'", "''")
