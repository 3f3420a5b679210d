"""Forms over a profile's history: aggregates of events, chains, references to segments."""

from tests.unit.shared.pql.coverage_forms import BEYOND, Row

EVENTS = "Aggregates of events"
CHAINS = "Chains"
SEGMENTS = "Segments of segments"


def _chain(steps: str, more: str = "") -> str:
    return f"chain(xEvent, timestamp, [{steps}]{more})"


_VIEW, _CART, _BUY = 'A: WHAT(eventType = "view")', 'B: WHAT(eventType = "cart")', 'C: WHAT(eventType = "buy")'
_NO_CART, _NO_BUY = f"not {_CART}", f"not {_BUY}"

HISTORY: tuple[Row, ...] = (
    (EVENTS, "`count`", 'xEvent[eventType = "buy"].count() >= 2', 'xEvent[eventType = "buy"].count() > 2'),
    (EVENTS, "`sum`", "xEvent.sum(total) = 40", "xEvent[timestamp occurs today].sum(total) = 40"),
    (EVENTS, "`average`", 'xEvent[eventType = "buy"].average(total) = 20', "xEvent.average(total) = 20"),
    (
        EVENTS,
        "`min`, `max`",
        "xEvent.min(total) = 0 and xEvent.max(total) = 30",
        "xEvent.max(timestamp) occurs > 1 hour before now",
    ),
    (EVENTS, "through arrays of the event", 'xEvent.items.sku = "Z9"', "xEvent.items.qty > 4"),
    (
        EVENTS,
        "against the profile",
        "exists E from xEvent where E.total = age",
        "exists E from xEvent where E.total > age",
    ),
    (CHAINS, "one step: has ever", _chain(_CART), _chain('A: WHAT(eventType = "leave")')),
    (CHAINS, "steps in order", _chain(f"{_VIEW}, {_CART}, {_BUY}"), _chain(f"{_CART}, {_VIEW}")),
    (
        CHAINS,
        "`CHAIN` in capitals",
        _chain(_CART).replace("chain", "CHAIN"),
        _chain(f"{_BUY}, {_BUY}, {_BUY}").replace("chain", "CHAIN"),
    ),
    (CHAINS, "`WHEN`", _chain(f"{_BUY} WHEN(<= 1 hour before now)"), _chain(f"{_CART} WHEN(<= 2 hours before now)")),
    (CHAINS, "`WHEN` of a day", _chain(f"{_VIEW} WHEN(today), {_BUY} WHEN(today)"), _chain(f"{_BUY} WHEN(yesterday)")),
    (CHAINS, "the whole negated", f"not {_chain(f'{_CART}, {_VIEW}')}", f"not {_chain(_CART)}"),
    (
        SEGMENTS,
        "`inSegment`",
        'not inSegment("nobody") and inSegment("gold")',
        'inSegment("gold") and inSegment("nobody")',
    ),
    (
        SEGMENTS,
        "`segmentMembership.get`",
        'segmentMembership.get("ups").get("gold").status in ["realized", "existing"]',
        'segmentMembership.get("ups").get("nobody").status = "realized"',
    ),
    (
        BEYOND,
        "gap between steps, total span",
        _chain(f"{_CART}, {_BUY} WITHIN(100 minutes)"),
        _chain(f"{_CART}, {_BUY} WITHIN(99 minutes)"),
    ),
    (
        BEYOND,
        "total span",
        _chain(f"{_VIEW}, {_BUY}", ", WITHIN(2 hours)"),
        _chain(f"{_VIEW}, {_BUY}", ", WITHIN(119 minutes)"),
    ),
    (
        BEYOND,
        "a step that must not occur",
        _chain(f'{_CART}, not X: WHAT(page = "home"), {_BUY}'),
        _chain(f"{_VIEW} WHEN(today), {_NO_CART}, {_BUY}"),
    ),
    (
        BEYOND,
        "a step that must not occur: last",
        _chain(f"{_BUY} WHEN(today), {_NO_CART}"),
        _chain(f"{_CART}, {_NO_BUY}"),
    ),
    (
        BEYOND,
        "a step that must not occur: for some time",
        _chain(f"{_CART}, {_NO_BUY} WITHIN(1 hour)"),
        _chain(f"{_BUY} WHEN(today), {_NO_CART} WITHIN(2 hours)"),
    ),
    (
        BEYOND,
        "first and last",
        'xEvent.first().eventType = "buy" and xEvent.last(total) = 30',
        'xEvent.last().eventType = "view"',
    ),
    (
        BEYOND,
        "first and last: instants",
        "xEvent.min(timestamp) occurs > 30 days before now",
        "xEvent.max(timestamp) occurs after now",
    ),
    (BEYOND, "n within any span", "xEvent.burst(3) <= 2 hours", "xEvent.burst(3) < 2 hours"),
    (
        BEYOND,
        "sessions by inactivity",
        "xEvent.sessions(100 minutes).count() = 2 and xEvent.sessions(100 minutes).max(duration) = 2 hours",
        "exists S from xEvent.sessions(30 minutes) where S.count > 2 or S.events.count() > 2 or S.end > now",
    ),
    (
        BEYOND,
        "statistics",
        'xEvent.distinct(eventType).count() = 3 and xEvent[eventType = "buy"].variance(total) = 100',
        "xEvent.decayedSum(total, 7 days) >= 40",
    ),
    (
        BEYOND,
        "statistics: ratio",
        'xEvent[eventType = "buy"].count() / xEvent.count() = 0.5',
        "xEvent.sum(total) / xEvent.count() > 10",
    ),
    (
        BEYOND,
        "statistics: `variance .. over`",
        "(variance O.total over O from xEvent where O.total > 0) = 100",
        "(variance O.total over O from xEvent) = 100",
    ),
)
