"""The summary for machines, and the progress line."""

import json
from io import StringIO
from pathlib import Path

from rich.console import Console

from deploy.demo import display, summary
from deploy.demo.reader import MembershipReader
from deploy.demo.sender import Sender
from deploy.demo.state import RunState
from shared.contracts.memberships import Cause, Membership, ProfileMemberships, Transition
from shared.kernel.clock import DAY
from shared.kernel.ids import transition_id
from shared.sdk import Run


def _state() -> RunState:
    sender = Sender("nowhere:1", events=10, records=2, first_at=1, last_at=DAY - 1, people={"p1": "ann", "p2": "bob"})
    reader = MembershipReader("nowhere:1")
    transition = Transition(transition_id("p1", "vips", 1, "entered", "f"), "vips", 1, "entered", 5, Cause("fact", "f"))
    reader.tally.add(ProfileMemberships("t", "p1", 1, (transition,), {"vips": Membership(1, 5)}))
    reader.latency.add(20)
    run = Run("r", "DONE", "propensity version 1", {"auc": 0.75, "parity_max_abs": 1e-7}, 1)
    return RunState(sender, reader, total=20, run=run)


def test_the_summary_has_exactly_the_agreed_fields(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"

    summary.write(summary.collect(_state(), ["vips", "nobody"], DAY), path)

    found = json.loads(path.read_text())
    assert found.pop("seconds") >= 0
    assert found.pop("latency_ms").keys() == {"p50", "p95", "p99"}
    assert found == {
        "events": 10,
        "profiles": 2,
        "segments": {
            "vips": {"members": 1, "md5": "7e0d7f8a5d96c24ffcc840f31bce72b2", "entered": 1, "exited": 0},
            "nobody": {"members": 0, "md5": "d41d8cd98f00b204e9800998ecf8427e", "entered": 0, "exited": 0},
        },
        "series": {"vips": [["1970-01-02T00:00:00Z", 1]], "nobody": [["1970-01-02T00:00:00Z", 0]]},
        "model": {"auc": 0.75, "parity_max_abs": 1e-7},
        "scores": 0,
    }


def test_a_run_without_a_model_says_so_and_has_null_metrics() -> None:
    state = _state()
    state.run = Run("r", "FAILED", "there is nothing to train on", {}, None)

    result = summary.collect(state, ["vips"], DAY)

    assert {"auc": None, "parity_max_abs": None} == result.as_json()["model"]
    assert "FAILED: there is nothing to train on" == result.model_words


def test_the_tables_name_every_segment_and_the_model() -> None:
    console = Console(width=120, record=True, file=StringIO())

    summary.print_result(summary.collect(_state(), ["vips", "nobody"], DAY), console)

    text = console.export_text()
    assert all(word in text for word in ("vips", "nobody", "AUC 0.750", "events", "scores written"))


def test_a_progress_line_says_how_far_the_run_is() -> None:
    line = display.plain_line(_state())

    assert all(part in line for part in ("sending", "sent 10 (50%)", "transitions 1", "scores 0", "training DONE"))


def test_the_live_table_can_be_drawn_at_any_time() -> None:
    console = Console(width=120, record=True, file=StringIO())

    console.print(display.live_table(_state()))

    assert "events sent" in console.export_text()
