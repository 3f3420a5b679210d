"""Values are read as the schema declares them, wherever they lie: in arrays, in maps, in arrays of arrays.

Found by comparing random schemas with the naive evaluator: declared arrays and maps of instants never matched, and
the history of an expression lost what it read of an event's maps.
"""

from typing import Any

import pytest

from shared.pql import Event, Profile, Schema, SegmentSpec, build_plan, compile_segment, evaluate, new_state

NOW = 1_709_164_800_000_000
YESTERDAY, ITS_NOON_IN_BERLIN = "2024-02-28T11:00:00Z", "2024-02-28T12:00:00+01:00"
INSTANT = {"type": "string", "format": "date-time"}
SHAPE = {
    "type": "object",
    "properties": {
        "dates": {"type": "array", "items": INSTANT},
        "byName": {"type": "object", "additionalProperties": INSTANT},
        "orders": {"type": "array", "items": {"type": "object", "properties": {"at": INSTANT}}},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "prefs": {"type": "object", "additionalProperties": {"type": "string"}},
        "flags": {"type": "array", "items": {"type": "string"}},
    },
}
SCHEMA = Schema.from_json_schema(SHAPE, SHAPE)
BODY: dict[str, Any] = {
    "dates": [None, YESTERDAY, "no instant"],
    "byName": {"x": YESTERDAY},
    "orders": [{"at": YESTERDAY}],
    "grid": [[1, 2], [3]],
    "prefs": {"x": "a"},
    "flags": [None, "a", None],
}


def holds(text: str) -> bool:
    plan = build_plan([SegmentSpec("s", 1, compile_segment(text, SCHEMA))])
    event = Event("e1", NOW, "view", BODY)
    return "s" in evaluate(plan, new_state(), Profile("u1", BODY), event, NOW).state.members


@pytest.mark.parametrize(
    "text",
    [
        "dates occurs yesterday",
        "dates.max() occurs yesterday",
        "dates.first() occurs yesterday",
        "dates.last() occurs yesterday",
        "dates.count() = 3",
        f'dates.intersects(["{ITS_NOON_IN_BERLIN}"])',
        f'dates.includes("{ITS_NOON_IN_BERLIN}")',
        "exists D from dates where D occurs yesterday",
        "byName.x occurs yesterday",
        'byName.get("x") occurs yesterday',
        "byName.values() occurs yesterday",
        "byName.map((K, V) => V).max() occurs yesterday",
        'byName.get("x").getMonth() = 2',
        "orders.at occurs yesterday",
        "orders.max(at) occurs yesterday",
        "xEvent.exists(dates occurs yesterday)",
        "select E from xEvent where E.byName.values() occurs yesterday",
    ],
)
def test_declared_instants_are_instants_wherever_they_lie(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        'exists E from xEvent where E.prefs.values() = "a" and E.timestamp occurs today',
        'exists E from xEvent, F from xEvent where E.prefs = F.prefs and E.prefs.keys().includes("x")',
        "exists E from xEvent where E.prefs = ^.prefs",
        'xEvent.map((E) => E.prefs).head().x = "a"',
        "exists E from xEvent where E.prefs.map((K, V) => K).count() = 1",
    ],
)
def test_history_keeps_all_of_a_map_that_is_looked_at_as_a_whole(text: str) -> None:
    assert holds(text.replace("^.prefs", "prefs"))


def test_a_comparison_holds_for_one_item_of_an_array_in_an_array() -> None:
    assert holds("grid = 3")
    assert holds("grid < 2")
    assert not holds("grid > 3")


def test_first_and_last_skip_nulls_and_head_does_not() -> None:
    assert holds('flags.first() = "a" and flags.last() = "a" and flags.head().isNull()')
