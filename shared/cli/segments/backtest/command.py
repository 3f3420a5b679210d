"""`freshet segments backtest`: from options to files."""

import argparse
import gc
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from shared.cli.segments.backtest.ahead import read_ahead
from shared.cli.segments.backtest.events import Happening
from shared.cli.segments.backtest.mapping import load_mapping
from shared.cli.segments.backtest.ordering import ordered
from shared.cli.segments.backtest.output import TransitionLog, whole_file, write_members
from shared.cli.segments.backtest.progress import Progress
from shared.cli.segments.backtest.runner import Backtest, Schedule, Snapshot
from shared.cli.segments.definitions import compile_plan, load_definitions
from shared.cli.segments.errors import WrongInput
from shared.cli.segments.testing.times import parse_duration
from shared.kernel.clock import format_instant, parse_instant
from shared.pql import Plan, Schema

_TELL_EVENTS = 1_024


def run_backtest(options: argparse.Namespace) -> int:
    """Run a backtest and write its files. Raises WrongInput."""
    schedule = _schedule(options)
    plan = compile_plan(load_definitions(options.definitions), Schema.permissive())
    if options.members is not None:
        _refuse_odd_names(plan)
    mapping = load_mapping(options.mapping, options.events)
    progress = Progress(quiet=options.quiet)
    with ExitStack() as stack:
        stack.enter_context(_rare_collections())
        log = stack.enter_context(TransitionLog()) if options.transitions else None
        stack.callback(progress.close)
        backtest = Backtest(plan, log.add if log else None)
        events = read_ahead(ordered, options.events, mapping, schedule.start, schedule.end)
        happenings = _told(stack.enter_context(closing(events)), backtest, progress)
        found: dict[str, list[dict[str, Any]]] = {segment.spec.id: [] for segment in plan.segments}
        instants: list[str] = []
        for snapshots in backtest.run(happenings, schedule):
            instants.append(format_instant(snapshots[0].at) if snapshots else "")
            _collect(found, snapshots)
            if options.members is not None:
                write_members(options.members, snapshots)
        with whole_file(options.output) as file:
            json.dump(_document(options, backtest, instants, found), file, indent=1, ensure_ascii=False)
            file.write("\n")
        transitions = log.write(options.transitions) if log else None
    _summarise(options, backtest, found, transitions, progress.close())
    return 0


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Events come and go without cycles; looking for some among a million states takes a sixth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(500_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _told(happenings: Iterator[Happening], backtest: Backtest, progress: Progress) -> Iterator[Happening]:
    for number, one in enumerate(happenings):
        if number % _TELL_EVENTS == 0:
            progress.tell(backtest.events, len(backtest.states), one.at)
        yield one


def _collect(found: dict[str, list[dict[str, Any]]], snapshots: list[Snapshot]) -> None:
    for one in snapshots:
        found[one.segment].append({"at": format_instant(one.at), "count": len(one.members), "md5": one.md5})


def _document(
    options: argparse.Namespace, backtest: Backtest, instants: list[str], found: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    return {
        "from": None if options.start is None else format_instant(parse_instant(options.start)),
        "events": backtest.events,
        "profiles": len(backtest.states),
        "instants": instants,
        "segments": {name: found[name] for name in sorted(found)},
    }


def _summarise(
    options: argparse.Namespace,
    backtest: Backtest,
    found: dict[str, list[dict[str, Any]]],
    transitions: int | None,
    seconds: float,
) -> None:
    if options.quiet:
        return
    for name in sorted(found):
        for one in found[name]:
            print(f"{one['at']}  {one['count']:>9,}  {name}")
    if transitions is not None:
        print(f"{transitions:,} transitions in {options.transitions}")
    rate = backtest.events / seconds if seconds > 0 else 0.0
    print(f"{backtest.events:,} events of {len(backtest.states):,} profiles in {seconds:.1f} s ({rate:,.0f} events/s)")


def _schedule(options: argparse.Namespace) -> Schedule:
    start = None if options.start is None else _instant("--from", options.start)
    at = tuple(_instant("--at", text) for text in options.at)
    every = None
    if options.every is not None:
        try:
            every = parse_duration(options.every)
        except ValueError as error:
            raise WrongInput(f"--every: {error}") from error
        if every <= 0:
            raise WrongInput(f"--every {options.every}: a span longer than nothing is needed")
    if start is not None and at and min(at) < start:
        raise WrongInput(f"--at {format_instant(min(at))} lies before --from {format_instant(start)}")
    return Schedule(at, every, start)


def _instant(option: str, text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError:
        raise WrongInput(f"{option} {text}: expected an instant such as 2026-01-01T00:00:00Z") from None


def _refuse_odd_names(plan: Plan) -> None:
    for segment in plan.segments:
        if Path(segment.spec.id).name != segment.spec.id:
            raise WrongInput(f"segment `{segment.spec.id}` cannot name a file, which --members needs; rename it")
