"""Progress while it runs: a live table on a terminal, a line every few seconds elsewhere."""

import asyncio
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from deploy.demo.state import RunState

_REFRESH_S = 0.25
_LINE_S = 5.0

Say = Callable[[str], None]


def say(line: str) -> None:
    print(line, flush=True)


async def show(state: RunState, console: Console) -> None:
    """Shows the state until cancelled."""
    if console.is_terminal:
        await _show_live(state, console)
    else:
        await _show_lines(state)


async def _show_live(state: RunState, console: Console) -> None:
    with Live(live_table(state), console=console, refresh_per_second=4, transient=True) as live:
        while True:
            await asyncio.sleep(_REFRESH_S)
            live.update(live_table(state))


async def _show_lines(state: RunState) -> None:
    while True:
        await asyncio.sleep(_LINE_S)
        say(plain_line(state))


def plain_line(state: RunState) -> str:
    """One line that says how far the run is."""
    parts = [
        f"{state.elapsed_s:6.1f} s  {state.phase}",
        f"sent {state.sender.events:,} ({state.share_sent:.0%})",
        f"decided {state.decided:,} ({state.decided_rate.per_second:,.0f}/s)",
        f"lag {state.look.undecided:,}",
        f"transitions {state.reader.tally.transitions:,}",
        f"scores {state.scores:,}",
    ]
    if state.run is not None:
        parts.append(f"training {state.run.state}")
    return "  ".join(parts)


def live_table(state: RunState) -> Table:
    """The table that is drawn again and again."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", min_width=12)
    table.add_column(justify="right", min_width=12)
    table.add_column()
    rates = f"{state.sent_rate.per_second:,.0f}/s"
    table.add_row(state.phase, f"{state.elapsed_s:.0f} s", ProgressBar(total=1.0, completed=state.share_sent, width=40))
    table.add_row("events sent", f"{state.sender.events:,}", rates)
    table.add_row("decided", f"{state.decided:,}", f"{state.decided_rate.per_second:,.0f}/s")
    lags = "  ".join(f"{group} {state.look.lag(group):,}" for group in state.look.done)
    table.add_row("lag", f"{state.look.undecided:,}", lags)
    table.add_row("transitions", f"{state.reader.tally.transitions:,}", _latency(state))
    training = f"training {state.run.state}" if state.run else "no model yet"
    table.add_row("scores", f"{state.scores:,}", training)
    return table


def _latency(state: RunState) -> str:
    found = state.reader.latency.summary()
    if found["p50"] is None:
        return ""
    return "event to membership " + "  ".join(f"{name} {value:,.0f} ms" for name, value in found.items() if value)
