"""I6: what `segment-memberships` tells, without repeats, is the oracle's, in order and numbered without holes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from shared.contracts.memberships import Transition
from shared.contracts.topics import SEGMENT_MEMBERSHIPS
from tests.chaos.findings import Findings
from tests.chaos.oracle import Folded, Move
from tests.chaos.reading import Reader

LATE_US = 1_000_000
"""Time-only changes are told within this after their instant."""


class _Told(msgspec.Struct):
    """A `ProfileMemberships` without its whole map, which would cost most of the reading."""

    profile_id: str
    sequence: int
    transitions: tuple[Transition, ...]


def check_moves(findings: Findings, read: Reader, profiles: Mapping[str, Folded]) -> None:
    """Compares what was told with `profiles`."""
    seen: dict[str, Transition] = {}
    moves: dict[str, list[Move]] = {}
    by_sequence: dict[tuple[str, int], Transition] = {}
    repeated = 0
    for value, transition, told_at in _new_and_repeated(read, findings, by_sequence):
        known = seen.setdefault(transition.id, transition)
        if known is not transition:
            repeated += 1
            findings.equal("I6 equal ids have equal content", known, transition, value.profile_id)
            continue
        cause = f"{transition.cause.kind}:{transition.cause.id}"
        move = Move(transition.effective_at, cause, transition.segment_id, transition.change)
        moves.setdefault(value.profile_id, []).append(move)
        if read.job.line.clock == "wall" and transition.cause.kind == "deadline":
            _punctual(findings, read.job.troubled, transition, told_at)
    for key in profiles.keys() | moves.keys():
        _compare(findings, key, profiles[key].moves if key in profiles else [], moves.get(key, []))
    _holes(findings, by_sequence)
    findings.checked["transitions"] += len(seen)
    findings.checked["repeated transitions"] += repeated


def _new_and_repeated(
    read: Reader, findings: Findings, by_sequence: dict[tuple[str, int], Transition]
) -> Iterator[tuple[_Told, Transition, int]]:
    """Yields every transition with its record and the record's time (µs). Notes which transition has which number:
    `sequence` is that of a record's last one."""
    decoder = msgspec.json.Decoder(_Told)
    for record in read.good(SEGMENT_MEMBERSHIPS):
        value = decoder.decode(record.value)
        for number, transition in enumerate(value.transitions, value.sequence - len(value.transitions) + 1):
            place = (value.profile_id, number)
            known = by_sequence.setdefault(place, transition)
            findings.equal("I6 equal sequence numbers have equal content", known, transition, place)
            yield value, transition, record.timestamp * 1000


def _compare(findings: Findings, key: str, told: Sequence[Move], found: Sequence[Move]) -> None:
    missing, extra = sorted(set(told) - set(found)), sorted(set(found) - set(told))
    same = not missing and not extra and len(told) == len(found)
    findings.expect(
        "I6 transitions without repeats are the oracle's", same, f"{key}: missing {missing}, not expected {extra}"
    )
    in_order = all(a.effective_at <= b.effective_at for a, b in pairwise(found))
    findings.expect("I6 a profile's transitions come in order", in_order, key)
    findings.expect("I6 entered and exited alternate", _alternates(found), key)


def _punctual(findings: Findings, troubled: Sequence[tuple[int, int]], transition: Transition, told_at: int) -> None:
    """On the wall clock, what time alone brings is told soon; looked at where nothing was broken around it."""
    instant = transition.effective_at
    if any(start - LATE_US <= instant <= end for start, end in troubled):
        findings.checked["changes by time alone while something was broken"] += 1
        return
    findings.lateness.append(max(0, told_at - instant))


def _holes(findings: Findings, by_sequence: Mapping[tuple[str, int], Any]) -> None:
    count: Counter[str] = Counter(profile for profile, _ in by_sequence)
    last: dict[str, int] = {}
    for profile, number in by_sequence:
        last[profile] = max(number, last.get(profile, 0))
    for profile, newest in last.items():
        findings.equal("I6 sequences have no holes", newest, count[profile], profile)


def _alternates(moves: Sequence[Move]) -> bool:
    inside: set[str] = set()
    for move in moves:
        if (move.change == "entered") == (move.segment in inside):
            return False
        inside ^= {move.segment}
    return True
