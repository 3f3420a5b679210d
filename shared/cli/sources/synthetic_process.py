"""The random process behind the synthetic web shop: what each person does, and when.

Counts are Poisson, base events lie uniformly over ten weeks, dependent events follow their origin after exponential
lags. Two steps of the reference process are kept because its recorded event mix depends on them: the dependents of
one person are those of the LAST origin only, and whoever clicks in an e-mail has the page views that follow from the
click instead of others. Walking a person's events in time order, a propensity moves by a delta per event; every event
that is neither advertising nor mail draws once with that probability, and the first success is a filled-in form a
minute later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp
from random import Random

WEEKS = 10
WINDOW_MS = WEEKS * 7 * 24 * 3600 * 1000
FORM_DELAY_MS = 60_000
_HOUR_MS = 3_600_000
_PROPENSITY_START = 0.001


@dataclass(frozen=True, slots=True)
class Kind:
    """One event type: `rate` per week, `delta` of the propensity, mean `lag_h` hours after an event of `origin`."""

    event_type: str
    rate: float
    delta: float
    lag_h: float = 0.0
    origin: int | None = None


IMPRESSION, AD_CLICK, SENT, OPENED, CLICKED, PAGE, LINK, PRODUCT, PURCHASE, DISPLAY, INTERACT, DISMISS, FORM = range(13)

KINDS: tuple[Kind, ...] = (
    Kind("advertising.impressions", 0.1, 0.001),
    Kind("advertising.clicks", 0.01, 0.002, 0.5, IMPRESSION),
    Kind("directMarketing.emailSent", 0.5, 0.005),
    Kind("directMarketing.emailOpened", 0.2, 0.02, 24, SENT),
    Kind("directMarketing.emailClicked", 0.05, 0.1, 0.5, OPENED),
    Kind("web.webpagedetails.pageViews", 0.1, 0.005, 0.1, CLICKED),
    Kind("web.webinteraction.linkClicks", 0.05, 0.005, 0.1, PAGE),
    Kind("commerce.productViews", 0.05, 0.005, 0.2, PAGE),
    Kind("commerce.purchases", 0.01, 0.1, 1, PRODUCT),
    Kind("decisioning.propositionDisplay", 0.05, 0.005, 0.1, PAGE),
    Kind("decisioning.propositionInteract", 0.01, 0.1, 0.05, DISPLAY),
    Kind("decisioning.propositionDismiss", 0.01, -0.2, 0.05, DISPLAY),
    Kind("web.formFilledOut", 0.0, 0.0),
)
"""Ordered so that every kind comes after its origin; the index is the event's kind everywhere in this package."""

_PASSIVE = frozenset((IMPRESSION, AD_CLICK, SENT, OPENED, CLICKED))


def expected_counts(users: int) -> dict[str, float]:
    """The mean number of events per type, forms left out (they have no closed form).

    An origin matters only by whether there is one at all: its last one alone has dependents.
    """
    some: dict[int, float] = {}
    means: dict[str, float] = {}
    for index, kind in enumerate(KINDS[:FORM]):
        mean = WEEKS * kind.rate
        # Page views come from the last mail click or, without one, from the base process: the same mean either way.
        chance = 1.0 if kind.origin is None or index == PAGE else some[kind.origin]
        some[index] = chance * (1 - exp(-mean))
        means[kind.event_type] = users * chance * mean
    return means


def life_of(random: Random) -> list[tuple[int, int]]:
    """Draws one person's events as (ms since the window's start, kind), in time order. Dependents may pass its end."""
    drawn: list[list[int]] = []
    for index, kind in enumerate(KINDS[:FORM]):
        base = kind.origin is None or (index == PAGE and not drawn[CLICKED])
        count = _poisson(random, WEEKS * kind.rate)
        if base:
            drawn.append([int(random.random() * WINDOW_MS) for _ in range(count)])
        elif kind.origin is not None and drawn[kind.origin]:
            origin = drawn[kind.origin][-1]
            drawn.append([origin + int(random.expovariate(1 / (kind.lag_h * _HOUR_MS))) for _ in range(count)])
        else:
            drawn.append([])
    events = sorted((at, index) for index, times in enumerate(drawn) for at in times)
    form = _form_at(random, events)
    if form is not None:
        events.append((form, FORM))
        events.sort()
    return list(_apart(events))


def _poisson(random: Random, mean: float) -> int:
    """Knuth's product method: exact, and quick for the small means used here."""
    limit, product, count = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


def _form_at(random: Random, events: list[tuple[int, int]]) -> int | None:
    propensity = _PROPENSITY_START
    for at, index in events:
        propensity = min(max(propensity + KINDS[index].delta, 0.0), 1.0)
        if index not in _PASSIVE and random.random() < propensity:
            return at + FORM_DELAY_MS
    return None


def _apart(events: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Moves an event on by a millisecond where the same kind already took its instant, so that ids stay unique."""
    taken: set[tuple[int, int]] = set()
    for at, index in events:
        while (at, index) in taken:
            at += 1
        taken.add((at, index))
        yield at, index
