"""Typing rules of time: `occurs`, chains, calendar words and functions.

Every form of `occurs` becomes one or two closed intervals whose ends may move with now; the evaluator needs to know no
other notion of time.
"""

from dataclasses import replace

from shared.pql import calendar
from shared.pql.check_values import as_instant, conjunction
from shared.pql.core import Apply, Bound, Const, Core, Inside, Interval, Sequence, SequenceStep, event_time
from shared.pql.errors import CheckError, LimitError, Span
from shared.pql.scope import Lowering, Scope
from shared.pql.syntax import (
    Between,
    CalendarUnit,
    Call,
    Chain,
    Distance,
    DurationLiteral,
    Node,
    Occurs,
    Relative,
    Step,
    TimeWord,
    When,
)
from shared.pql.types import BOOLEAN, INSTANT, INTEGER, item_of

STEPS_MAX = 20
_STEPS = "split it in two chains, or ask for one event in a chain and count the others"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_PARTS_OF_DAYS = ("millisecond", "second", "minute", "hour")
_WORD_SHIFTS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_UNIT_SHIFTS = {"this": 0, "last": -1, "next": 1}
_PARTS = {"Month": "month", "Year": "year", "DayOfMonth": "dayOfMonth"}


def fixed_micros(amount: DurationLiteral) -> int:
    """The microseconds of a duration; months and longer have no fixed length."""
    if amount.unit not in calendar.FIXED:
        hint = "use days here; months and years are for `occurs` and WHEN"
        raise CheckError(f"a {amount.unit} has no fixed length", amount.span, hint)
    return amount.count * calendar.FIXED[amount.unit]


def start_of(node: TimeWord | CalendarUnit) -> Bound:
    """The instant of a calendar word: now, or the start of the day or unit."""
    if node.zone is not None and calendar.zone_named(node.zone) is None:
        raise CheckError(f"unknown time zone `{node.zone}`", node.span, 'use an IANA name such as "Europe/Berlin"')
    if isinstance(node, CalendarUnit):
        shift = _UNIT_SHIFTS[node.which]
        return Bound(unit=node.unit, unit_shift=shift, zone=node.zone, type=INSTANT, span=node.span)
    if node.word == "now":
        return Bound(type=INSTANT, span=node.span)
    return Bound(unit="day", unit_shift=_WORD_SHIFTS[node.word], zone=node.zone, type=INSTANT, span=node.span)


def occurs(checker: Lowering, node: Occurs, scope: Scope) -> Core:
    """`subject occurs when`."""
    subject = checker.lower(node.subject, scope)
    scalar = item_of(subject.type) if subject.type.kind == "array" else subject.type
    if scalar.kind not in ("any", "null", "instant", "string", "integer"):
        hint = "write an instant before `occurs`, such as `timestamp` or a field of the format date-time"
        raise CheckError(f"`occurs` needs an instant, found {subject.type}", node.subject.span, hint)
    intervals = _intervals(checker, node.when, scope)
    instant = (
        subject if scalar.kind == "instant" else Apply("instant", (subject,), type=subject.type, span=subject.span)
    )
    return Inside(instant, intervals, type=BOOLEAN, span=node.span)


def _intervals(checker: Lowering, when: When, scope: Scope) -> tuple[Interval, ...]:
    match when:
        case Distance(comparison=comparison, amount=amount, direction=direction, anchor=anchor):
            bound = _bound(checker, anchor, scope)
            signs = {"before": (-1,), "after": (1,), "from": (-1, 1)}[direction]
            if direction == "from" and comparison in ("<", "<="):
                before, after = (_distance(comparison, amount, sign, bound) for sign in (-1, 1))
                return (Interval(before.low, after.high),)
            return tuple(_distance(comparison, amount, sign, bound) for sign in signs)
        case Relative(direction="before", anchor=anchor):
            return (Interval(None, _later(_bound(checker, anchor, scope), -1)),)
        case Relative(anchor=anchor):
            return (Interval(_later(_end(checker, anchor, scope), 1), None),)
        case Between(low=low, high=high):
            return (Interval(_bound(checker, low, scope), _end(checker, high, scope)),)
        case _:
            return (_on(checker, when.anchor, scope),)


def _bound(checker: Lowering, anchor: Node, scope: Scope) -> Bound:
    """The instant an anchor denotes: of a day or unit its start."""
    value = as_instant(checker.lower(anchor, scope))
    return value if isinstance(value, Bound) else Bound(value, type=INSTANT, span=anchor.span)


def _is_day(anchor: Node) -> bool:
    return isinstance(anchor, Call) and anchor.function == "date"


def _end(checker: Lowering, anchor: Node, scope: Scope) -> Bound:
    """The last microsecond of the day or unit an anchor denotes; an exact instant is its own end."""
    bound = _bound(checker, anchor, scope)
    if bound.unit is not None:
        return _later(replace(bound, unit_shift=bound.unit_shift + 1), -1)
    return _later(bound, calendar.DAY - 1) if _is_day(anchor) else bound


def _on(checker: Lowering, anchor: Node, scope: Scope) -> Interval:
    bound = _bound(checker, anchor, scope)
    if bound.unit is None and not (isinstance(anchor, TimeWord) or _is_day(anchor)):
        # `on` an instant means the day that holds it.
        bound = replace(bound, unit="day")
        return Interval(bound, _later(replace(bound, unit_shift=1), -1))
    return Interval(bound, _end(checker, anchor, scope))


def _later(bound: Bound, micros: int) -> Bound:
    return replace(bound, micros=bound.micros + micros)


def _moved(bound: Bound, amount: DurationLiteral, sign: int) -> Bound:
    count = sign * amount.count
    if bound.unit == amount.unit:
        return replace(bound, unit_shift=bound.unit_shift + count)
    if amount.unit in calendar.FIXED:
        return _later(bound, count * calendar.FIXED[amount.unit])
    if bound.count or bound.micros:
        bound = Bound(bound, zone=bound.zone, type=INSTANT)
    return replace(bound, count=count, count_unit=amount.unit)


def _distance(comparison: str, amount: DurationLiteral, sign: int, anchor: Bound) -> Interval:
    """The instants whose distance from the anchor, before (-1) or after (1) it, compares so with the amount."""
    if comparison == "=":
        base = anchor if anchor.unit is None and not anchor.micros else Bound(anchor, zone=anchor.zone, type=INSTANT)
        today = anchor.unit == "day" and anchor.anchor is None and not anchor.unit_shift
        if anchor.unit == amount.unit or (today and amount.unit not in _PARTS_OF_DAYS):
            base = replace(anchor, unit_shift=0)
        shift = anchor.unit_shift if anchor.unit == amount.unit else 0
        unit = replace(base, unit=amount.unit, unit_shift=shift + sign * amount.count)
        return Interval(unit, _later(replace(unit, unit_shift=unit.unit_shift + 1), -1))
    far = _moved(anchor, amount, sign)
    if comparison in ("<", "<="):
        far = _later(far, -sign if comparison == "<" else 0)
        return Interval(far, anchor) if sign < 0 else Interval(anchor, far)
    far = _later(far, sign if comparison == ">" else 0)
    return Interval(None, far) if sign < 0 else Interval(far, None)


def chain(checker: Lowering, node: Chain, scope: Scope) -> Core:
    """`chain(...)`: each step's time condition joins its condition."""
    if len(node.steps) > STEPS_MAX:
        raise LimitError(f"the chain has {len(node.steps)} steps, the limit is {STEPS_MAX}", node.span, _STEPS)
    source = checker.array(node.source, scope)
    if all(step.negated for step in node.steps):
        raise CheckError(
            "a chain needs at least one step that must happen", node.span, "negate the whole: `not chain(...)`"
        )
    inner = scope.inside(item_of(source.type))
    steps = tuple(_step(checker, step, inner, scope.level) for step in node.steps)
    first = next(step for step in node.steps if not step.negated)
    if first.within is not None:
        raise CheckError(
            "the first step has nothing before it to be WITHIN of", first.span, "put WITHIN on a later step"
        )
    total = fixed_micros(node.within) if node.within else None
    return Sequence(source, scope.level, steps, total, type=BOOLEAN, span=node.span)


def _step(checker: Lowering, step: Step, scope: Scope, level: int) -> SequenceStep:
    conditions = [checker.condition(step.what, scope)]
    if step.when is not None:
        intervals = _intervals(checker, step.when, scope)
        conditions.append(Inside(event_time(level), intervals, type=BOOLEAN, span=step.when.span))
    gap = fixed_micros(step.within) if step.within else None
    return SequenceStep(conjunction(conditions, step.span), gap, step.negated, span=step.span)


def function(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    """`date`, `instant`, `currentMonth` and its kin, `getMonth` and its kin."""
    if name == "date":
        return Const(_date(arguments, span), type=INSTANT, span=span)
    if name == "instant":
        return as_instant(arguments[0])
    zone = _zone(arguments[1 if name.startswith("get") else 0 :])
    if name.startswith("current"):
        subject: Core = Bound(unit="day", zone=zone, type=INSTANT)
    else:
        subject = as_instant(arguments[0])
    part = _PARTS[name.removeprefix("current").removeprefix("get")]
    return Apply(part, (subject, Const(zone)), type=INTEGER, span=span)


def _zone(arguments: tuple[Core, ...]) -> str | None:
    if not arguments:
        return None
    zone = arguments[0].value if isinstance(arguments[0], Const) else None
    if not isinstance(zone, str) or calendar.zone_named(zone) is None:
        message = f"unknown time zone `{zone}`" if isinstance(zone, str) else "a time zone is a text, written out"
        raise CheckError(message, arguments[0].span, 'use an IANA name such as "Europe/Berlin"')
    return zone


def _date(arguments: tuple[Core, ...], span: Span) -> int:
    numbers = [argument.value for argument in arguments if isinstance(argument, Const) and type(argument.value) is int]
    if len(numbers) != 3:
        message = "`date` takes year, month and day as whole numbers, written out"
        raise CheckError(message, span, "write `date(2024, 5, 1)`")
    year, month, day = numbers
    if not (1 <= year <= 9999 and 1 <= month <= 12):
        raise CheckError(
            f"there is no date {year}-{month}-{day}", span, "write `date(year, month, day)`, month 1 to 12"
        )
    if not 1 <= day <= calendar.month_days(year, month):
        hint = f"{_MONTHS[month - 1]} {year} has the days 1 to {calendar.month_days(year, month)}"
        raise CheckError(f"there is no date {year}-{month}-{day}", span, hint)
    return calendar.days_from_civil(year, month, day) * calendar.DAY
