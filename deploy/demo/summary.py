"""The result of a run: for machines as JSON, for people as tables and lines to try."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.demo.state import RunState
from deploy.demo.tally import members_md5
from shared.kernel.clock import format_instant


@dataclass(frozen=True, slots=True)
class SegmentResult:
    members: int
    md5: str
    entered: int
    exited: int


@dataclass(frozen=True, slots=True)
class Result:
    """`series`: size at each midnight. `seconds`: from the first message sent to everything decided and enriched."""

    events: int
    records: int
    profiles: int
    seconds: float
    first_decided_s: float | None
    span: tuple[int, int]
    segments: Mapping[str, SegmentResult]
    series: Mapping[str, Sequence[tuple[str, int]]]
    auc: float | None
    parity_max_abs: float | None
    model_words: str
    scores: int
    latency_ms: Mapping[str, float | None]

    def as_json(self) -> dict[str, Any]:
        """The summary for machines."""
        return {
            "events": self.events,
            "profiles": self.profiles,
            "seconds": round(self.seconds, 3),
            "segments": {
                name: {"members": s.members, "md5": s.md5, "entered": s.entered, "exited": s.exited}
                for name, s in self.segments.items()
            },
            "series": {name: [list(point) for point in points] for name, points in self.series.items()},
            "model": {"auc": self.auc, "parity_max_abs": self.parity_max_abs},
            "scores": self.scores,
            "latency_ms": dict(self.latency_ms),
        }


def collect(state: RunState, segments: Sequence[str], end: int) -> Result:
    """Draws up the result of a run whose log time ended at `end` (µs)."""
    tally, sender = state.reader.tally, state.sender
    results = {}
    for name in segments:
        ids = [sender.people.get(profile, profile) for profile in tally.members(name)]
        flow = tally.flows[name]
        results[name] = SegmentResult(len(ids), members_md5(ids), flow.entered, flow.exited)
    metrics = state.run.metrics if state.run else {}
    return Result(
        events=sender.events,
        records=sender.records,
        profiles=len(sender.people),
        seconds=state.elapsed_s,
        first_decided_s=state.first_decided_s,
        span=(sender.first_at, end),
        segments=results,
        series={name: tally.series(name, sender.first_at, end) for name in segments},
        auc=metrics.get("auc"),
        parity_max_abs=metrics.get("parity_max_abs"),
        model_words=f"{state.run.state}: {state.run.message}" if state.run else "not asked for",
        scores=state.scores,
        latency_ms=state.reader.latency.summary(),
    )


def write(result: Result, path: Path) -> None:
    path.write_text(json.dumps(result.as_json(), indent=2) + "\n")


def print_result(result: Result, console: Console) -> None:
    """Prints the tables."""
    segments = Table(title="Segments", title_justify="left")
    for column in ("segment", "members", "entered", "exited"):
        segments.add_column(column, justify="left" if column == "segment" else "right")
    segments.add_column("md5 of the members", no_wrap=True)
    for name, s in result.segments.items():
        segments.add_row(name, f"{s.members:,}", f"{s.entered:,}", f"{s.exited:,}", s.md5)
    console.print(segments)
    facts = Table.grid(padding=(0, 2))
    for label, value in _facts(result):
        facts.add_row(label, value)
    console.print(facts)


def _facts(result: Result) -> list[tuple[str, str]]:
    latency = [f"{name} {value:,.0f} ms" for name, value in result.latency_ms.items() if value is not None]
    first = "" if result.first_decided_s is None else f", the first event decided after {result.first_decided_s:.1f} s"
    events = f"{result.events:,}" + (f" and {result.records:,} profile records" if result.records else "")
    auc = "none" if result.auc is None else f"AUC {result.auc:.3f}, parity within {result.parity_max_abs:.1e}"
    return [
        ("events", f"{events}, {format_instant(result.span[0])} to {format_instant(result.span[1])}"),
        ("profiles", f"{result.profiles:,}"),
        ("time", f"{result.seconds:.1f} s ({result.events / result.seconds:,.0f} events/s){first}"),
        ("event to membership", ", ".join(latency) or "no transition by a fact"),
        ("model", f"{auc} ({result.model_words})"),
        ("scores written", f"{result.scores:,}"),
    ]
