"""Every row of the decision table in shared/pql/README.md, by its number."""

from typing import Any

import pytest

from shared.pql import PqlError, Schema, compile_segment
from tests.unit.shared.pql.cases import Happening, judged, measured

A = "2024-02-29T10:00:00Z"
B = "2024-02-29T11:00:00Z"


@pytest.mark.parametrize(
    ("text", "attributes", "expected"),
    [
        # 1 null in comparisons
        ('x != "a"', {}, False),
        ('x != "a"', {"x": None}, False),
        ('x != "a"', {"x": "b"}, True),
        ('not (x = "a")', {}, True),
        ('x notIn ["a"]', {}, False),
        ('x notIn ["a"]', {"x": "b"}, True),
        ("x < 1", {}, False),
        ("x >= 1", {}, False),
        ("x = null", {}, False),
        ('x.doesNotContain("a")', {}, False),
        # 2 missing, null and empty
        ("x.isNull()", {"x": None}, True),
        ("x.isNull()", {"x": ""}, False),
        ("x.isNull()", {"x": []}, False),
        ("x.y.isNull()", {"x": [{"y": None}]}, True),
        # 3 comparisons through arrays
        ("orders.total > 10", {"orders": [{"total": 5}, {"total": 15}]}, True),
        ("orders.total > 10", {"orders": []}, False),
        ('tags = "a"', {"tags": ["b", "a"]}, True),
        ('tags != "a"', {"tags": ["b", "a"]}, True),
        ('tags notIn ["a"]', {"tags": ["b", "a"]}, False),
        ('tags notIn ["a"]', {"tags": []}, False),
        ('not (tags = "a")', {"tags": ["b", "a"]}, False),
        # 4 types do not mix
        ('x = "1"', {"x": 1}, False),
        ("x = 1", {"x": True}, False),
        ("x = 1", {"x": 1.0}, True),
        ('x < "b"', {"x": 1}, False),
        # 5 arithmetic
        ("x / 2 = 3.5", {"x": 7}, True),
        ("x / 0 > 0 or x / 0 <= 0", {"x": 7}, False),
        ("x % 3 = -1", {"x": -7}, True),
        ("x * 1e308 * 10 > 0", {"x": 5}, False),
        # 6 case and Unicode
        ('x = "Ana"', {"x": "ana"}, False),
        ('x.equals("STRASSE", false)', {"x": "stra\u00dfe"}, True),
        ('x.notEqualTo("ANA", false)', {"x": "ana"}, False),
        ('x.startsWith("", true)', {"x": "abc"}, True),
        # 7 matches finds, like covers
        ('x.matches("b")', {"x": "abc"}, True),
        ('x.matches("^b$")', {"x": "abc"}, False),
        ('x like "b"', {"x": "abc"}, False),
        ('x like "%b_"', {"x": "abc"}, True),
        # 8 topN and bottomN
        ("x.topN(v, 2).sum(v) = 7", {"x": [{"v": 1}, {"v": 3}, {"v": 4}]}, True),
        ("x.bottomN(v, 2).sum(v) = 4", {"x": [{"v": 1}, {"v": 3}, {"v": 4}]}, True),
        ("x.topN(v, 2).head().v = 4", {"x": [{"v": 1}, {"v": 3}, {"v": 4}]}, True),
        # 9 forall over nothing
        ("forall O from orders : O.total > 10", {}, True),
        ("forall O from orders where O.paid = true : O.total > 10", {"orders": [{"total": 1}]}, True),
        ("forall O from orders where O.total > 10", {"orders": [{"total": 1}]}, False),
        # 10 aggregates of nothing
        ("orders.count() = 0 and orders.sum(total) = 0", {}, True),
        ("orders.min(total).isNull() and orders.average(total).isNull()", {}, True),
        # 11 truth
        ("flag", {"flag": True}, True),
        ("flag", {"flag": "true"}, False),
        ("flag", {"flag": 1}, False),
        ("flag", {"flag": [False, True]}, True),
        ("orders[total > 10]", {"orders": [{"total": 11}]}, True),
        # 12 sets
        ('tags.subsetOf(["a"])', {"tags": []}, True),
        ('tags.subsetOf(["a"])', {}, False),
        ('tags.intersection(["a", "b"]).count() = 1', {"tags": ["a", "a", "c"]}, True),
        # 13 maps
        ('prefs.keys() = "a"', {"prefs": {"b": 1, "a": 2}}, True),
        ("prefs.values().sum() = 3", {"prefs": {"b": 1, "a": 2}}, True),
        # 14 extensions on the profile
        ('inList("vip") and not inList("other")', {}, True),
        ('profileId() = "u1"', {}, True),
        ('bucket() >= 0 and bucket() < 100 and bucket("a") != bucket("b")', {}, True),
        ("distanceKm(lat, lon, 52.52, 13.405) < 1", {"lat": 52.521, "lon": 13.404}, True),
        ("insideBox(lat, lon, -10, 170, 10, -170)", {"lat": 0, "lon": 179}, True),
        ("if(age < 30, 1, 0) + if(age > 20, 1, 0) + 1 = 3", {"age": 25}, True),
    ],
)
def test_values_behave_as_decided(text: str, attributes: dict[str, Any], expected: bool) -> None:
    assert judged(text, attributes) is expected


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        # 20 windows: closed at the old end to the microsecond
        ("x occurs <= 1 day before now", "2024-02-28T12:00:00Z", True),
        ("x occurs <= 1 day before now", "2024-02-28T11:59:59.999999Z", False),
        ("x occurs < 1 day before now", "2024-02-28T12:00:00Z", False),
        ("x occurs <= 1 day before now", "2024-02-29T12:00:00.000001Z", False),
        ("x occurs > 1 day before now", "2024-02-28T12:00:00Z", False),
        ("x occurs >= 1 day before now", "2024-02-28T12:00:00Z", True),
        # 21 = n units: the whole unit
        ("x occurs = 1 day before now", "2024-02-28T00:00:00Z", True),
        ("x occurs = 1 day before now", "2024-02-28T23:59:59.999999Z", True),
        ("x occurs = 1 day before now", "2024-02-29T00:00:00Z", False),
        ("x occurs = 0 days before today", "2024-02-29T23:00:00Z", True),
        ("x occurs = 1 month before today", "2024-01-01T00:00:00Z", True),
        # 22 from: either side
        ("x occurs <= 1 day from now", "2024-03-01T12:00:00Z", True),
        ("x occurs > 1 day from now", "2024-03-01T12:00:00.000001Z", True),
        ("x occurs = 1 day from today", "2024-03-01T12:00:00Z", True),
        # 23 weeks start on Monday (29 February 2024 is a Thursday)
        ("x occurs this week", "2024-02-26T00:00:00Z", True),
        ("x occurs this week", "2024-02-25T23:59:59Z", False),
        ("x occurs last week", "2024-02-25T23:59:59Z", True),
        # 24 time zones: UTC, or the one given
        ("x occurs today", "2024-02-28T23:30:00Z", False),
        ('x occurs today("Europe/Berlin")', "2024-02-28T23:30:00Z", True),
        ('x.getDayOfMonth("Europe/Berlin") = 29', "2024-02-28T23:30:00Z", True),
        ("x.getMonth() = currentMonth() and x.getYear() = currentYear()", "2024-02-28T23:30:00Z", True),
        # 25 months and years follow the calendar; a day the month lacks becomes the end of its last
        ("x occurs <= 1 month before now", "2024-01-29T12:00:00Z", True),
        ("x occurs <= 1 month before now", "2024-01-29T11:59:59Z", False),
        ("x occurs <= 1 year before now", "2023-02-28T23:59:59.999999Z", True),
        ("x occurs <= 1 year before now", "2023-02-28T23:59:59.999998Z", False),
        ("x occurs <= 2 weeks before now", "2024-02-15T12:00:00Z", True),
        # 26 days and units in before, after, between
        ("x occurs after date(2024, 2, 28)", "2024-02-28T15:00:00Z", False),
        ("x occurs after date(2024, 2, 28)", "2024-02-29T00:00:00Z", True),
        ("x occurs before today", "2024-02-28T23:59:59Z", True),
        ("x occurs between date(2024, 2, 1) and date(2024, 2, 28)", "2024-02-28T23:59:59Z", True),
        ("x occurs on date(2024, 2, 28)", "2024-02-28T23:59:59Z", True),
        ("x occurs last month", "2024-01-31T23:59:59Z", True),
        ("x occurs this decade", "2020-01-01T00:00:00Z", True),
        # 27 comparisons with instants
        ("x < now and now - x >= 1 day", "2024-02-28T12:00:00Z", True),
        ('x = instant("2024-02-28T13:00:00+01:00")', "2024-02-28T12:00:00Z", True),
        ("x < date(2024, 3, 1)", "2024-02-28", True),
        ("x occurs before now", "no instant", False),
    ],
)
def test_time_behaves_as_decided(text: str, x: str, expected: bool) -> None:
    assert judged(text, {"x": x}) is expected


def happen(*events: tuple[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(at, type_, {}) for at, type_ in events]


@pytest.mark.parametrize(
    ("steps", "events", "expected"),
    [
        # 30 equal timestamps are not in order
        ('A: WHAT(eventType = "a"), B: WHAT(eventType = "b")', [(A, "a"), (B, "b")], True),
        ('A: WHAT(eventType = "a"), B: WHAT(eventType = "b")', [(A, "a"), (A, "b")], False),
        ('A: WHAT(eventType = "a"), B: WHAT(eventType = "b")', [(B, "a"), (A, "b")], False),
        ('A: WHAT(eventType = "a"), B: WHAT(eventType = "a")', [(A, "a")], False),
        # 31 negated steps: between, before the first, after the last; equal time counts as between
        (
            'A: WHAT(eventType = "a"), not N: WHAT(eventType = "n"), B: WHAT(eventType = "b")',
            [(A, "a"), (B, "b")],
            True,
        ),
        (
            'A: WHAT(eventType = "a"), not N: WHAT(eventType = "n"), B: WHAT(eventType = "b")',
            [(A, "a"), (A, "n"), (B, "b")],
            False,
        ),
        ('A: WHAT(eventType = "a"), not N: WHAT(eventType = "n")', [(A, "a"), (B, "n")], False),
        ('A: WHAT(eventType = "a"), not N: WHAT(eventType = "n")', [(A, "n"), (B, "a")], True),
        ('not N: WHAT(eventType = "n"), A: WHAT(eventType = "a")', [(A, "n"), (B, "a")], False),
        ('A: WHAT(eventType = "a"), not N: WHAT(eventType = "n") WITHIN(30 minutes)', [(A, "a"), (B, "n")], True),
        ('A: WHAT(eventType = "a"), not N: WHAT(eventType = "n") WITHIN(2 hours)', [(B, "a")], False),
        # 32 gaps
        ('A: WHAT(eventType = "a"), B: WHAT(eventType = "b") WITHIN(1 hour)', [(A, "a"), (B, "b")], True),
        ('A: WHAT(eventType = "a"), B: WHAT(eventType = "b") WITHIN(59 minutes)', [(A, "a"), (B, "b")], False),
        (
            'A: WHAT(eventType = "a") WHEN(<= 90 minutes before now), B: WHAT(eventType = "b")',
            [(A, "a"), (B, "b")],
            False,
        ),
    ],
)
def test_sequences_behave_as_decided(steps: str, events: list[tuple[str, str]], expected: bool) -> None:
    assert judged(f"chain(xEvent, timestamp, [{steps}])", {}, happen(*events)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("xEvent.count() = 3", True),
        # 40 the future has not happened
        ("xEvent[timestamp occurs after now].count() = 0", True),
        ('xEvent.exists(eventType = "future")', False),
        # 41 events come in order of time
        ('xEvent.first().eventType = "a" and xEvent.last().eventType = "c" and xEvent.head().eventType = "a"', True),
        ("xEvent.last(v) = 5", True),
        # 42 sessions and bursts
        ("xEvent.sessions(1 hour).count() = 1 and xEvent.sessions(59 minutes).count() = 3", True),
        ("xEvent.sessions(1 hour).max(duration) = 2 hours", True),
        ("xEvent.burst(2) <= 1 hour and not (xEvent.burst(3) < 2 hours) and xEvent.burst(4).isNull()", True),
        # 43 aggregates
        ("xEvent.variance(v) = 2.25", True),
        ("xEvent.average(v) = 3.5", True),
        ("xEvent.distinct(eventType).count() = 3", True),
        ("xEvent.groupBy(eventType).keys().count() = 3", True),
        ('xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count())).get("a") = 1', True),
        ("xEvent.decayedSum(v, 1 hour) < 7", True),
        ("xEvent.v > 4", True),
        ("xEvent[v > 4].count() = 1 and xEvent[v > 4][v > 6].count() = 0", True),
    ],
)
def test_history_behaves_as_decided(text: str, expected: bool) -> None:
    events: list[Happening] = [
        ("2024-02-29T12:00:00.000001Z", "future", {"v": 100}),
        ("2024-02-29T11:30:00Z", "c", {}),
        ("2024-02-29T10:30:00Z", "b", {"v": 5}),
        ("2024-02-29T09:30:00Z", "a", {"v": 2}),
    ]

    assert judged(text, {}, events) is expected


def test_features_have_units() -> None:
    # 50 durations in seconds, instants in seconds since 1970, truth as 1 or 0, nothing as null
    events: list[Happening] = [("2024-02-29T11:59:00Z", "a", {})]

    assert measured("now - xEvent.max(timestamp)", {}, events) == 60.0
    assert measured("xEvent.max(timestamp)", {}, events) == 1709207940.0
    assert measured("xEvent.count() > 0", {}, events) == 1.0
    assert measured("xEvent.max(v)", {}, events) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        # 48 who has left is not kept
        (
            'segmentMembership.get("ups").get("a").status = "exited"',
            'who is out, for whatever reason, is `not inSegment("..")`',
        ),
        # 49a a date is no subtraction
        ("memberSince occurs after 2024-05-01", "write `date(2024, 5, 1)`"),
        ("memberSince > 2024-05-01T12:00:00Z", 'or the text "2024-05-01T12:00:00Z" in double quotes'),
        # 49c half of a surrogate pair
        (r'city = "\ud83d"', "write both halves"),
    ],
)
def test_what_would_be_misread_is_refused_with_the_way_out(text: str, hint: str) -> None:
    with pytest.raises(PqlError) as refusal:
        compile_segment(text, Schema.permissive())

    assert hint in (refusal.value.hint or "")


def test_dates_may_be_subtracted_and_pairs_escaped() -> None:
    assert judged("2024 - 05 - 01 = 2018", {})
    assert judged(r'city = "\ud83d\ude00"', {"city": "\U0001f600"})
