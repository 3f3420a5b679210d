"""Synthetic web-shop people and events: seeded, of any size, in event-time order, in bounded memory.

1. People are drawn in runs of `_RUN_USERS`. An event is one 64-bit number: time, person, kind, from high to low bits,
   so that sorting numbers sorts by time.
2. Each run is sorted and written to an unnamed temporary file (8 bytes an event).
3. The runs are merged, a block of each in memory at a time; bodies are made only now, while reading.

A person's life depends on the seed and the person's number alone: more people change nobody else's events.
"""

import heapq
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from tempfile import TemporaryFile
from typing import IO

from shared.cli.sources.source import Datasets, SourceError, SourceEvent, event_of, record_of
from shared.cli.sources.synthetic_process import FORM, KINDS, PURCHASE, WINDOW_MS, life_of
from shared.cli.sources.synthetic_shop import NAMESPACE, Person, event_body, loyalty_body, person_of, profile_body
from shared.contracts.facts import Identity
from shared.kernel.clock import Micros, parse_instant

START = parse_instant("2025-01-06T00:00:00Z")
"""Where the ten weeks begin: fixed, so that one seed is one data set."""

USERS_MAX = 1 << 27
EVENTS_PER_USER = 10.64
"""The mean number of events of a person, forms included."""

_KIND_BITS, _USER_BITS = 4, 27
_RUN_USERS = 50_000
_BLOCK = 16_384


@dataclass(frozen=True)
class SyntheticSource:
    """Makes `users` people from `seed`. Records (who someone is) come right before the person's first event; a
    purchase is followed by a record with the loyalty points it brought."""

    users: int = 5_000
    seed: int = 0
    start: Micros = START
    name: str = "synthetic"
    conversion: str = KINDS[FORM].event_type

    def __post_init__(self) -> None:
        if not 0 < self.users <= USERS_MAX:
            raise SourceError(f"the number of users must lie between 1 and {USERS_MAX:,}, found {self.users:,}")

    def count(self, until: Micros | None = None) -> int:
        share = 1.0 if until is None else min(max((until - self.start) / (WINDOW_MS * 1000), 0.0), 1.0)
        return round(EVENTS_PER_USER * self.users * share)

    @property
    def end(self) -> Micros:
        """The end of the ten weeks; a few dependent events come later."""
        return Micros(self.start + WINDOW_MS * 1000)

    def read(self, datasets: Datasets) -> Iterator[SourceEvent]:
        met = bytearray(self.users)
        spent: dict[int, float] = {}
        for at, number, kind in self.moments():
            person = person_of(self.seed, number)
            identity = Identity(NAMESPACE, person.ecid, True)
            if not met[number]:
                met[number] = 1
                yield record_of(datasets.profiles, profile_body(person), at, identity)
            body = event_body(person, at, kind)
            yield event_of(datasets.events, body, at, identity)
            if kind == PURCHASE:
                spent[number] = spent.get(number, 0.0) + body["commerce"]["order"]["priceTotal"]
                yield _loyalty(datasets.profiles, person, spent[number], body["_id"], at, identity)

    def moments(self) -> Iterator[tuple[Micros, int, int]]:
        """Yields (instant µs, person's number, kind) in time order."""
        with ExitStack() as stack:
            runs = []
            for first in range(0, self.users, _RUN_USERS):
                file = stack.enter_context(TemporaryFile(prefix="freshet-synthetic-"))
                self._write_run(file, first, min(first + _RUN_USERS, self.users))
                runs.append(_blocks(file))
            for packed in heapq.merge(*runs):
                kind = packed & ((1 << _KIND_BITS) - 1)
                number = (packed >> _KIND_BITS) & (USERS_MAX - 1)
                yield Micros(self.start + (packed >> (_KIND_BITS + _USER_BITS)) * 1000), number, kind

    def _write_run(self, file: IO[bytes], first: int, last: int) -> None:
        packed = []
        for number in range(first, last):
            for at_ms, kind in life_of(Random(f"{self.seed}:{number}")):  # noqa: S311 - not for secrets
                packed.append(((at_ms << _USER_BITS) | number) << _KIND_BITS | kind)
        packed.sort()
        array("Q", packed).tofile(file)
        file.seek(0)


def _blocks(file: IO[bytes]) -> Iterator[int]:
    while raw := file.read(_BLOCK * 8):
        yield from array("Q", raw)


def _loyalty(dataset: str, person: Person, spent: float, purchase: str, at: Micros, identity: Identity) -> SourceEvent:
    return record_of(dataset, loyalty_body(person, spent, purchase), at, identity)
