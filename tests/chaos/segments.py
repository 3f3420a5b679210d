"""Twenty segments, each said twice: in the language, and as a plain question about a `Life`.

The second column is the oracle's; it shares no code with the engine. Prices are multiples of a quarter, so that their
sums are exact in whatever order they are taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.life import ANY, ATTRIBUTES, Life

PAGE, VIEW, CART, BUY, MAIL = (
    "web.webpagedetails.pageViews",
    "commerce.productViews",
    "commerce.productListAdds",
    "commerce.purchases",
    "directMarketing.emailSent",
)
TYPES = (PAGE, VIEW, CART, BUY, MAIL)
HOUR = 3_600_000_000
DAY = 24 * HOUR

SECOND = 1_000_000

FEATURE_SET = MODEL = "chaos"
FEATURES: Mapping[str, str] = {
    "purchases": f'xEvent[eventType = "{BUY}"].count()',
    "spent": f'xEvent[eventType = "{BUY}"].sum(commerce.order.priceTotal)',
    "views_7d": f'xEvent[eventType = "{VIEW}" and timestamp occurs <= 7 days before now].count()',
}


def features(life: Life, now: int) -> tuple[float, ...]:
    """The features in their order."""
    return float(life.count(BUY, now)), life.spent(BUY, now) / 4, float(life.count(VIEW, now, 7 * DAY))


@dataclass(frozen=True, slots=True)
class Segment:
    """`reads`: event types (`ANY` for all, `ATTRIBUTES` for the profile's) that may change the answer."""

    id: str
    text: str
    reads: frozenset[str]
    holds: Callable[[Life, int], bool]


def _of(type_: str, window: str = "") -> str:
    when = f" and timestamp occurs <= {window} before now" if window else ""
    return f'xEvent[eventType = "{type_}"{when}]'


def _make(id_: str, reads: tuple[str, ...], text: str, holds: Callable[[Life, int], bool]) -> Segment:
    return Segment(id_, text, frozenset(reads), holds)


SEGMENTS = (
    _make("buyers", (BUY,), f"{_of(BUY)}.count() >= 1", lambda life, now: life.count(BUY, now) >= 1),
    _make("five_purchases", (BUY,), f"{_of(BUY)}.count() >= 5", lambda life, now: life.count(BUY, now) >= 5),
    _make(
        "spent_200",
        (BUY,),
        f"{_of(BUY)}.sum(commerce.order.priceTotal) >= 200",
        lambda life, now: life.spent(BUY, now) >= 800,
    ),
    _make(
        "big_order",
        (BUY,),
        f"{_of(BUY)}.max(commerce.order.priceTotal) >= 90",
        lambda life, now: life.largest(BUY, now) >= 360,
    ),
    _make(
        "good_average",
        (BUY,),
        f"{_of(BUY)}.average(commerce.order.priceTotal) >= 50",
        lambda life, now: (n := life.count(BUY, now)) > 0 and life.spent(BUY, now) >= 200 * n,
    ),
    _make(
        "viewed_1h",
        (VIEW,),
        f"{_of(VIEW, '1 hours')}.count() >= 1",
        lambda life, now: life.count(VIEW, now, HOUR) >= 1,
    ),
    _make(
        "viewed_2_in_a_day",
        (VIEW,),
        f"{_of(VIEW, '1 days')}.count() >= 2",
        lambda life, now: life.count(VIEW, now, DAY) >= 2,
    ),
    _make(
        "viewed_10_in_a_week",
        (VIEW,),
        f"{_of(VIEW, '7 days')}.count() >= 10",
        lambda life, now: life.count(VIEW, now, 7 * DAY) >= 10,
    ),
    _make(
        "cart_today",
        (CART,),
        f"{_of(CART, '1 days')}.count() > 0",
        lambda life, now: life.count(CART, now, DAY) > 0,
    ),
    _make(
        "open_cart",
        (CART, BUY),
        f"{_of(CART, '1 days')}.count() > 0 and {_of(BUY, '1 days')}.count() = 0",
        lambda life, now: life.count(CART, now, DAY) > 0 and life.count(BUY, now, DAY) == 0,
    ),
    _make(
        "spent_100_in_a_week",
        (BUY,),
        f"{_of(BUY, '7 days')}.sum(commerce.order.priceTotal) >= 100",
        lambda life, now: life.spent(BUY, now, 7 * DAY) >= 400,
    ),
    _make(
        "exactly_two_purchases_in_10_days",
        (BUY,),
        f"{_of(BUY, '10 days')}.count() = 2",
        lambda life, now: life.count(BUY, now, 10 * DAY) == 2,
    ),
    _make(
        "quiet_3_days",
        (ANY,),
        "xEvent.count() >= 3 and xEvent.max(timestamp) occurs > 3 days before now",
        lambda life, now: life.count(ANY, now) >= 3 and now - life.latest(now) > 3 * DAY,
    ),
    _make(
        "quiet_6_hours",
        (ANY,),
        "xEvent.count() >= 1 and xEvent.max(timestamp) occurs > 6 hours before now",
        lambda life, now: life.count(ANY, now) >= 1 and now - life.latest(now) > 6 * HOUR,
    ),
    _make(
        "busy_hour",
        (ANY,),
        "xEvent[timestamp occurs <= 1 hours before now].count() >= 2",
        lambda life, now: life.count(ANY, now, HOUR) >= 2,
    ),
    _make(
        "no_purchase_in_a_week",
        (ANY, BUY),
        f"xEvent.count() >= 2 and {_of(BUY, '7 days')}.count() = 0",
        lambda life, now: life.count(ANY, now) >= 2 and life.count(BUY, now, 7 * DAY) == 0,
    ),
    _make(
        "two_devices",
        (ANY,),
        "xEvent.map(device.type).distinct().count() >= 2",
        lambda life, now: life.devices(now) >= 2,
    ),
    _make(
        "mailed_2_in_10_days",
        (MAIL,),
        f"{_of(MAIL, '10 days')}.count() >= 2",
        lambda life, now: life.count(MAIL, now, 10 * DAY) >= 2,
    ),
    _make("gold", (ATTRIBUTES,), 'loyalty.tier = "gold"', lambda life, now: life.tier == "gold"),
    _make(
        "precious_and_active",
        (ATTRIBUTES, VIEW),
        f'loyalty.tier in ["gold", "silver"] and {_of(VIEW, "1 days")}.count() > 0',
        lambda life, now: life.tier in ("gold", "silver") and life.count(VIEW, now, DAY) > 0,
    ),
)
SPANS: Mapping[str, tuple[int, ...]] = {
    ANY: (HOUR, 6 * HOUR, 3 * DAY),
    PAGE: (),
    VIEW: (HOUR, DAY, 7 * DAY),
    CART: (DAY,),
    BUY: (DAY, 7 * DAY, 10 * DAY),
    MAIL: (10 * DAY,),
}
"""The lengths of the windows above, by event type: an event may change an answer one microsecond after each."""

WALL_SEGMENTS = (
    _make(
        "just_viewed",
        (VIEW,),
        f"{_of(VIEW, '3 seconds')}.count() >= 1",
        lambda life, now: life.count(VIEW, now, 3 * SECOND) >= 1,
    ),
    _make(
        "fell_silent",
        (VIEW,),
        f"{_of(VIEW)}.count() >= 1 and {_of(VIEW, '5 seconds')}.count() = 0",
        lambda life, now: life.count(VIEW, now) >= 1 and life.count(VIEW, now, 5 * SECOND) == 0,
    ),
)
"""Left and entered by time alone, within seconds, by whoever views one thing and then falls silent."""


class Rules:
    """What an oracle decides by. `spans`: the lengths of windows by event type; `vectors`: whether there are features.

    `readers`: by what a fact may have changed, the segments to ask again.
    """

    def __init__(self, segments: Sequence[Segment], spans: Mapping[str, tuple[int, ...]], vectors: bool) -> None:
        self.segments = segments
        self.spans = spans
        self.vectors = vectors
        self.readers = {
            name: tuple(s for s in segments if name in s.reads or (ANY in s.reads and name != ATTRIBUTES))
            for name in (*spans, ATTRIBUTES)
        }


MAIN_RULES = Rules(SEGMENTS, SPANS, vectors=True)
WALL_RULES = Rules(WALL_SEGMENTS, {ANY: (), VIEW: (3 * SECOND, 5 * SECOND)}, vectors=False)
