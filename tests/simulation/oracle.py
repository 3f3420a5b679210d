"""What must come out of a log: a plain left fold for the ledger, the naive evaluator for segmentation.

Nothing here is shared with the runtime: records are read one by one in the order of the log, and time passes for one
profile at a time.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.broker import Stored
from tests.simulation.ledger import LIMIT_US

Transition = tuple[str, int]
"""(`entered` or `exited`, when)"""


@dataclass
class Account:
    """One profile by the plain fold."""

    events: int = 0
    duplicates: int = 0
    total: float = 0.0
    now: int = 0
    until: int = 0
    lapses: int = 0
    ids: set[str] = field(default_factory=set)
    transitions: list[Transition] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)

    def pass_time(self, now: int) -> None:
        """Membership lapses when its time is over, before whatever happens at `now`."""
        if self.until and self.until < now:
            self.transitions.append(("exited", self.until))
            self.lapses += 1
            self.now = max(self.now, self.until)
            self.until = 0

    def happen(self, id_: str, amount: float, at: int, reached: int) -> None:
        """A fact of log time `at`; the log has been at `reached` before."""
        self.pass_time(max(at, reached, self.now))
        now = self.now = max(at, self.now)
        if id_ in self.ids:
            self.duplicates += 1
            return
        self.ids.add(id_)
        self.events += 1
        self.total += amount
        self.entries.append(id_)
        if not self.until:
            self.transitions.append(("entered", now))
        self.until = now + LIMIT_US


@dataclass
class Expected:
    """What one partition's log leads to. `refused`: offsets that belong into the dead letters. `clock`: its newest
    instant (µs)."""

    accounts: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    refused: Counter[int] = field(default_factory=Counter)
    ticks: int = 0
    clock: int = 0


def fold(log: Sequence[Stored], wall: bool) -> Expected:
    """Folds a log; then time passes up to its newest instant, or (on the wall clock) all time there is."""
    expected, clock = Expected(), 0
    for stored in log:
        try:
            fact = json.loads((stored.value or b"").decode())
        except ValueError:
            expected.refused[stored.offset] += 1
            continue
        if fact["type"] == "tick":
            expected.ticks += 1
            clock = max(clock, fact["received_at"] + 1)
            continue
        reached, clock = clock, max(clock, fact["received_at"])
        account = expected.accounts[fact["profile_id"]]
        poisoned = fact["body"].get("poison") and fact["id"] not in account.ids
        if poisoned:
            expected.refused[stored.offset] += 1
            continue
        account.happen(fact["id"], fact["body"]["amount"], fact["received_at"], reached)
    for account in expected.accounts.values():
        account.pass_time(1 << 62 if wall else clock)
    # A profile that only ever had refused facts has no state.
    for key in [key for key, account in expected.accounts.items() if not account.ids]:
        del expected.accounts[key]
    expected.clock = clock
    return expected
