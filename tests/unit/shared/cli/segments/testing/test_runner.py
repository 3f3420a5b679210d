"""Test files that tell what the runner guarantees, and how failures read."""

from pathlib import Path

import pytest

from shared.cli.segments import commands
from shared.cli.segments.errors import WrongInput
from shared.cli.segments.testing.format import read_test_file
from shared.cli.segments.testing.report import as_json, as_text, exit_code
from shared.cli.segments.testing.runner import Result, run_test_file

HEAD = """
clock: 2026-01-01T00:00:00Z
segments:
  recent: 'xEvent.exists(eventType = "view" and timestamp occurs <= 5 seconds before now)'
  quiet: 'xEvent.max(timestamp) occurs > 14 days before now'
  not_gold: 'not (loyalty.tier = "gold")'
features: {views: 'xEvent[eventType = "view"].count()'}
steps:
"""


def run(tmp_path: Path, steps: str, head: str = HEAD) -> Result:
    path = tmp_path / "one.yaml"
    path.write_text(head + steps)
    return run_test_file(read_test_file(path, "one.yaml"))


def assert_holds(tmp_path: Path, steps: str, head: str = HEAD) -> None:
    result = run(tmp_path, steps, head)
    assert [] == result.failures, as_text([result])


def test_a_window_holds_at_its_age_and_no_longer_one_microsecond_later(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, id: e1}
  - advance: 5s
  - expect: {recent: [u1]}
  - advance: 1us
  - expect: {recent: []}
""",
    )


def test_a_deadline_fires_at_its_own_instant_however_far_the_clock_moves(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, at: -100ms, received: 0s}
  - advance: 20d
  - transitions:
      - {profile: u1, segment: recent, change: entered, at: 2026-01-01T00:00:00Z}
      - {profile: u1, segment: not_gold, change: entered, at: 2026-01-01T00:00:00Z}
      - {profile: u1, segment: recent, change: exited, at: 2026-01-01T00:00:04.900001Z}
      - {profile: u1, segment: quiet, change: entered, at: 2026-01-14T23:59:59.900001Z}
  - transitions: []
""",
    )


def test_an_event_that_arrives_later_is_not_seen_before(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, at: now, received: +2s}
  - expect: {profile: u1, out: [recent], features: {views: 0}}
  - advance: 3s
  - transitions:
      - {profile: u1, segment: not_gold, change: entered, at: -1s}
      - {profile: u1, segment: recent, change: entered, at: -1s}
""",
    )


def test_an_event_of_the_future_counts_when_its_time_comes(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, at: +2s}
  - expect: {recent: []}
  - advance: 2s
  - expect: {recent: [u1]}
""",
    )


def test_the_same_event_twice_counts_once(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, id: e1}
  - event: {profile: u1, type: view, id: e1}
  - expect: {profile: u1, features: {views: 1}}
""",
    )


def test_the_last_of_two_records_at_one_instant_wins_and_unset_removes(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - profile: {id: u1, set: {loyalty: {tier: silver}}}
  - profile: {id: u1, dataset: crm, set: {loyalty: {tier: gold}}}
  - expect: {not_gold: []}
  - profile: {id: u1, unset: [loyalty.tier]}
  - expect: {not_gold: [u1]}
""",
    )


def test_a_definition_made_while_running_knows_what_has_been_seen(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, id: e1}
  - event: {profile: u2, type: other, id: e2}
  - advance: 1d
  - transitions:
      - {profile: u1, segment: not_gold, change: entered, at: -1d}
      - {profile: u1, segment: recent, change: entered, at: -1d}
      - {profile: u2, segment: not_gold, change: entered, at: -1d}
      - {profile: u1, segment: recent, change: exited, at: 2026-01-01T00:00:05.000001Z}
  - define: {viewers: 'xEvent.exists(eventType = "view")', recent: 'xEvent.count() >= 1'}
  - define_features: {all: 'xEvent.count()'}
  - transitions:
      - {profile: u1, segment: recent, change: entered, at: now}
      - {profile: u1, segment: viewers, change: entered, at: now}
      - {profile: u2, segment: recent, change: entered, at: now}
  - expect: {profile: u1, in: [viewers], features: {all: 1, views: 1}}
""",
    )


def test_nobody_enters_twice_when_a_segment_is_edited_and_all_leave_when_it_is_removed(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, id: e1}
  - define: {recent: 'xEvent.exists(eventType = "view")'}
  - advance: 1s
  - remove: [recent, not_gold]
  - expect: {profile: u1, out: [recent]}
  - expect: {recent: []}
  - transitions:
      - {profile: u1, segment: not_gold, change: entered, at: -1s}
      - {profile: u1, segment: recent, change: entered, at: -1s}
      - {profile: u1, segment: not_gold, change: exited, at: now}
      - {profile: u1, segment: recent, change: exited, at: now}
""",
    )


def test_a_merge_unites_events_and_records_and_ends_the_memberships_of_one(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - event: {profile: u1, type: view, id: e1}
  - event: {profile: u2, type: view, id: e2}
  - event: {profile: u2, type: view, id: e1}
  - profile: {id: u2, set: {loyalty: {tier: silver}}}
  - advance: 1s
  - profile: {id: u1, set: {loyalty: {tier: gold}}}
  - expect: {not_gold: [u2], recent: [u1, u2]}
  - merge: {from: u2, into: u1}
  - expect: {not_gold: [], recent: [u1]}
  - expect: {profile: u1, features: {views: 2}}
  - event: {profile: u2, type: view, id: e3}
  - expect: {profile: u1, features: {views: 3}}
  - expect: {profile: u2, out: [recent, not_gold]}
""",
    )


def test_a_list_is_an_operand(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - list: {name: vip, add: [u1, u2], remove: [u3]}
  - define: {vips: 'inList("vip")', not_vip: 'not inSegment("vips")'}
  - expect: {vips: [u1, u2], not_vip: []}
  - list: {name: vip, remove: [u2]}
  - expect: {vips: [u1], not_vip: [u2]}
""",
    )


def test_an_instant_without_quotes_is_an_instant_and_with_quotes_either(tmp_path: Path) -> None:
    head = """
segments:
  joined: memberSince occurs last year
  texted: memberText.startsWith("2025") and memberText occurs last year
steps:
"""

    assert_holds(
        tmp_path,
        """
  - profile: {id: u1, set: {memberSince: 2025-06-01T10:00:00Z, memberText: "2025-06-01"}}
  - expect: {joined: [u1], texted: [u1]}
""",
        head,
    )


def test_an_expected_error_changes_nothing(tmp_path: Path) -> None:
    assert_holds(
        tmp_path,
        """
  - expect_error: {define: {recent: 'xEvent['}, message: 'expected an expression'}
  - expect_error: {define: {a: 'inSegment("b")', b: 'inSegment("a")'}, message: cycle}
  - expect_error: {remove: nobody}
  - event: {profile: u1, type: view}
  - expect: {recent: [u1]}
""",
    )


def test_a_failed_expectation_says_what_differs_and_why(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        """  - event: {profile: u1, type: other}
  - expect: {recent: [u1], not_gold: [u2]}
  - expect: {profile: u1, out: [not_gold], features: {views: 3}}
  - transitions: [{profile: u1, segment: recent, change: entered, at: now}]
  - expect_error: {define: {fine: 'true'}}
""",
    )

    text = as_text([result])
    assert exit_code([result]) == 1
    assert [10, 11, 12, 13] == [failure.line for failure in result.failures]
    assert "recent: expected [u1], found []\n    missing: u1\n    why u1:\n      false" in text
    assert "not_gold: expected [u2], found [u1]\n    missing: u2\n    unexpected: u1" in text
    assert "u1: expected out of not_gold, found in it" in text
    assert "u1: expected views = 3, found 0" in text
    assert "- 2026-01-01T00:00:00Z u1 entered recent\n  + 2026-01-01T00:00:00Z u1 entered not_gold" in text
    assert "expected an error, and there was none" in text
    assert "1 file: 0 expectations held, 4 failed" in text


def test_json_holds_the_same(tmp_path: Path) -> None:
    result = run(tmp_path, "  - expect: {recent: [u1]}\n")

    document = as_json([result, ("two.yaml", "two.yaml:1:1: the file is empty")])

    assert (False, 1, 1, 1) == tuple(document[key] for key in ("ok", "expectations", "failed", "errors"))
    assert document["files"][0]["failures"][0]["line"] == 9
    assert document["files"][1]["error"] == "two.yaml:1:1: the file is empty"


def test_the_example_of_the_readme_holds(tmp_path: Path) -> None:
    text = (Path(commands.__file__).parents[1] / "README.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0].replace("schema: union.json", "schema: {}")

    assert_holds(tmp_path, "", example)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("  - define: {a: 'xEvent['}\n", "one.yaml:9:25: syntax error in `a`"),
        ("  - define:\n      a: |\n        true\n        and xEvent[\n", "one.yaml:12:20: syntax error in `a`"),
        ("  - remove: recent\n  - remove: recent\n", "one.yaml:10: there is no segment `recent` to remove"),
        ("  - advance: 2020-01-01\n", "one.yaml:9: the clock only moves forward"),
    ],
)
def test_a_step_that_cannot_be_done_names_its_place(tmp_path: Path, steps: str, message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        run(tmp_path, steps)

    assert str(caught.value).startswith(message)
