"""A small synthetic log of web-shop facts whose conversions depend on what went before; seeded."""

from collections.abc import AsyncIterator, Iterable, Iterator
from random import Random
from typing import Any

from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.clock import DAY, HOUR, MINUTE
from shared.kernel.ids import digest_id

START = 1_700_000_000_000_000
VIEW, CART, PURCHASE = "commerce.productViews", "commerce.productListAdds", "commerce.purchases"

SHOP_FEATURES = FeatureSetDefinition(
    "shop",
    1,
    (
        FeatureDefinition("views", f'xEvent[eventType = "{VIEW}" and timestamp occurs <= 14 days before now].count()'),
        FeatureDefinition(
            "carts_7d", f'xEvent[eventType = "{CART}" and timestamp occurs <= 7 days before now].count()'
        ),
        FeatureDefinition("spent", f'xEvent[eventType = "{PURCHASE}"].sum(commerce.order.priceTotal)'),
        FeatureDefinition("loyalty", "loyalty.points", default=-1.0),
    ),
)


def event(profile: str, number: int, type_: str, at: int, received_at: int | None = None, **body: Any) -> Fact:
    """An event of a profile; `at` and `received_at` in µs."""
    return Fact(
        id=digest_id("test-event", profile, str(number)),
        type="event",
        tenant="default",
        profile_id=profile,
        occurred_at=at,
        received_at=at if received_at is None else received_at,
        body={"eventType": type_} | body,
    )


def record(profile: str, number: int, at: int, **body: Any) -> Fact:
    """A profile record."""
    return Fact(
        id=digest_id("test-record", profile, str(number)),
        type="record",
        tenant="default",
        profile_id=profile,
        occurred_at=at,
        received_at=at,
        dataset_id="people",
        body=body,
    )


def shop_log(profiles: int = 300, days: int = 40, seed: int = 1) -> list[Fact]:
    """All facts in arrival order: visits with carts, purchases that follow carts, some late and some repeated."""
    random = Random(seed)
    facts = [fact for number in range(profiles) for fact in _life(f"{number:032x}", days, random)]
    return sorted(facts, key=lambda fact: fact.received_at)


def _life(profile: str, days: int, random: Random) -> Iterator[Fact]:
    number, keenness = 0, random.random()
    if random.random() < 0.5:
        yield record(profile, 0, START + random.randrange(days) * DAY, loyalty={"points": random.randrange(1000)})
    for day in range(days):
        if random.random() > 0.25:
            continue
        at = START + day * DAY + random.randrange(20 * HOUR)
        for type_ in [VIEW] * random.randrange(1, 4) + [CART] * (random.random() < keenness):
            number, at = number + 1, at + random.randrange(1, 5 * MINUTE)
            late = 2 * HOUR if random.random() < 0.02 else 0
            fact = event(profile, number, type_, at, at + late)
            yield fact
            if random.random() < 0.02:
                yield fact
        if type_ == CART and random.random() < 0.5 * keenness:
            number, at = number + 1, at + random.randrange(HOUR, DAY)
            price = {"order": {"priceTotal": random.randrange(100, 20_000) / 100}}
            yield event(profile, number, PURCHASE, at, commerce=price)


class ListLog:
    """A fact log held in memory, by partition, in batches as Kafka would give them."""

    def __init__(self, facts: Iterable[Fact], partitions: int = 8, batch: int = 100) -> None:
        self._parts: list[list[Fact]] = [[] for _ in range(partitions)]
        self._batch = batch
        for fact in facts:
            self._parts[partition_of(fact.profile_id, partitions)].append(fact)

    async def partitions(self) -> AsyncIterator[AsyncIterator[list[Fact]]]:
        for facts in self._parts:
            yield self._read(facts)

    async def _read(self, facts: list[Fact]) -> AsyncIterator[list[Fact]]:
        for start in range(0, len(facts), self._batch):
            yield facts[start : start + self._batch]
