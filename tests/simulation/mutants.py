"""Defects sown into the real runtime, in memory, to see whether the simulator finds each of them.

A defect replaces a piece of text in a function's source, or in a script, so that it hits the code as it is today;
when that text is no longer there, the defect says so and has to be written anew.
"""

import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

SCHEDULES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """`where`: dotted name of a function or a text; `old` in its source becomes `new`."""

    where: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect, in words and in code."""

    name: str
    changes: tuple[Change, ...]


def mutant(name: str, *changes: tuple[str, str, str]) -> Mutant:
    return Mutant(name, tuple(Change(*change) for change in changes))


@contextmanager
def sown(defect: Mutant) -> Iterator[None]:
    """Runs the block with the defect in place."""
    with ExitStack() as stack:
        for where in dict.fromkeys(change.where for change in defect.changes):
            owner, name, found = _find(where)
            changes = [change for change in defect.changes if change.where == where]
            stack.enter_context(mock.patch.object(owner, name, _changed(found, changes)))
        yield


def _find(where: str) -> tuple[Any, str, Any]:
    module_name, _, path = where.partition(":")
    __import__(module_name)
    owner: Any = sys.modules[module_name]
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    found = inspect.getattr_static(owner, name)
    return owner, name, found


def _changed(found: Any, changes: Sequence[Change]) -> Any:
    source = found if isinstance(found, str) else textwrap.dedent(inspect.getsource(_function(found)))
    for change in changes:
        if change.old not in source:
            raise LookupError(f"{change.where} no longer contains {change.old!r}: write the defect for today's code")
        source = source.replace(change.old, change.new)
    if isinstance(found, str):
        return source
    function = _function(found)
    scope: dict[str, Any] = {}
    source = "from __future__ import annotations\n" + source
    exec(compile(source, f"<{changes[0].where}>", "exec"), function.__globals__, scope)
    made = scope[function.__name__]
    return property(made) if isinstance(found, property) else made


def _function(found: Any) -> Any:
    function: Any = found.fget if isinstance(found, property) else found
    assert callable(function)
    return function


_FENCE, _PARTITION, _SETTLER = "shared.runtime.fence:", "shared.runtime.partition:", "shared.runtime.settler:"
_FEED = "shared.runtime.feed:"
_CONTIGUITY = "shared.runtime.partition:continued"
_STEPPER, _LEDGER = "shared.runtime.stepper:", "tests.simulation.ledger:"
_FENCE_WRITE = "redis.call('HSET', KEYS[1], 'offset', ARGV[3], 'clock', ARGV[4], 'commits', ARGV[6])\n"
_CHECK_OWNER = "if held[1] ~= ARGV[1] then return {'foreign', offset} end\n"
_CHECK_PLACE = "if offset ~= ARGV[2] or commits ~= ARGV[5] then"
_STATES_LINE = "local states, due = tonumber(ARGV[7]), tonumber(ARGV[8])\n"

MUTANTS: tuple[Mutant, ...] = (
    mutant(
        "no fence: a batch is applied whatever was applied before, by whomever",
        (_FENCE + "_APPLY", _CHECK_OWNER, ""),
        (_FENCE + "_APPLY", _CHECK_PLACE, "if false then"),
    ),
    mutant(
        "fence first: the script writes the fence before what it stands for",
        (_FENCE + "_APPLY", _FENCE_WRITE, ""),
        (_FENCE + "_APPLY", _STATES_LINE, _STATES_LINE + _FENCE_WRITE),
    ),
    mutant(
        "increments instead of absolutes: a state does not know which records it contains",
        (_PARTITION + "PartitionWorker._commit", "frame(held.offset,", "frame(-1,"),
    ),
    mutant(
        "acknowledged before processed: the fence moves before outputs are durable",
        (_SETTLER + "Settler.run", "await self._fence.apply(batch.commit)", "pass"),
        (
            _SETTLER + "Settler.run",
            "for acknowledgement in batch.acknowledgements:",
            "if batch.commit is not None and self._fence is not None:\n"
            "            await self._fence.apply(batch.commit)\n"
            "        for acknowledgement in batch.acknowledgements:",
        ),
    ),
    mutant(
        "no gap check: the next record is taken whatever its offset",
        (_CONTIGUITY, "if record.offset > expected:", "if False:"),
        (_CONTIGUITY, "if record.offset == expected:", "if record.offset >= expected:"),
        (_CONTIGUITY, "expected += 1", "expected = record.offset + 1"),
    ),
    mutant(
        "repeats inside a batch are taken: only its first offset is looked at",
        (
            _CONTIGUITY,
            "if [record.offset for record in raw] == list(range(expected, expected + len(raw))):",
            "if raw[0].offset == expected:",
        ),
    ),
    mutant(
        "expiring deduplication: a repeat that comes late counts again",
        (_LEDGER + "_apply", "if fact.id in state.ids:", "if fact.id in state.ids[-2:]:"),
    ),
    mutant(
        "wall clock in the step: a fact is judged at the instant it is read",
        (
            _LEDGER + "_apply",
            "max(state.now, fact.received_at)",
            "max(state.now, fact.received_at + int(__import__('asyncio').get_running_loop().time() * 1_000_000))",
        ),
    ),
    mutant(
        "unordered iteration: records of a batch are stepped in the order of a set",
        (
            _STEPPER + "Stepper.step",
            "return self._stage.step(batch)",
            "return self._stage.step(Batch(batch.partition, sorted(batch.records, key=lambda r: r.offset * 7 % 5), "
            "batch.due, batch.states))",
        ),
    ),
    mutant(
        "no owner token: whoever held the partition before may write on",
        (_FENCE + "_APPLY", _CHECK_OWNER, ""),
    ),
    mutant(
        "swallowed error: a record that raises is passed over",
        (_STEPPER + "Stepper.step_singly", "self._blame(single, error, total)", "pass"),
    ),
    mutant(
        "dead letters before durability: the fence does not wait for them",
        (
            _PARTITION + "PartitionWorker._hand_over",
            "acknowledgements = await self._context.producer.submit(messages)",
            "acknowledgements = await self._context.producer.submit(messages[:len(messages) - len(letters)])\n"
            "    await self._context.producer.submit(letters)",
        ),
    ),
    mutant(
        "seek to committed: Kafka's committed offset decides where to read on",
        (_PARTITION + "PartitionWorker.position", "self._read_offset + 1 if self._fence is not None else -1", "-1"),
    ),
    mutant(
        "deadline batches not counted: a roll-back past them goes unnoticed",
        (_FENCE + "_APPLY", " or commits ~= ARGV[5]", ""),
        (_FENCE + "Fence._read", "int(found) >= commits", "True"),
        (_FENCE + "Fence.strayed", "int(commits or 0) == self._commits", "True"),
    ),
    mutant(
        "states before deadlines: a torn script leaves a state whose deadline is missing",
        (_FENCE + "_APPLY", "if ARGV[2] == ARGV[3] then write_states() end", "write_states()"),
        (_FENCE + "_APPLY", "if ARGV[2] ~= ARGV[3] then write_states() end", ""),
    ),
    mutant(
        "loads look at no fence: states are read from a Redis that came back older",
        (_FENCE + "Fence._read", "if error is not None:", "if False:"),
    ),
    mutant(
        "a poisoned record leaves its half change in the state",
        (
            _STEPPER + "Stepper.step_singly",
            "total.states[key] = batch.states[key] = decode_state(saved[key])",
            "batch.states[key] = decode_state(saved[key])",
        ),
    ),
    mutant(
        "a record is stepped without knowing how far log time had come before it",
        (_PARTITION + "decode", "headers, raw_value, reached))", "headers, raw_value, 0))"),
    ),
    mutant(
        "a quiet partition does not look whether Redis has come back older",
        (_PARTITION + "PartitionWorker.verify", "await self._settler.verify()", "pass"),
    ),
    mutant(
        "unsettled states may be evicted: they are loaded again as they were before",
        ("shared.runtime.state:StateCache.trim", "if held.pins == 0:", "if True:"),
        ("shared.runtime.state:StateCache.unpin", "self._held[key].pins -= 1", "pass"),
    ),
    mutant(
        "deadlines are looked up without what the batches under way have decided",
        (_PARTITION + "PartitionWorker._fire_deadlines", "self._settler.decided_deadlines()", "None"),
    ),
    mutant(
        "deadlines on the wall clock fire ahead of records that wait to be read",
        (_PARTITION + "PartitionWorker.read_up", "self._alarm.read_up_at = at", "pass"),
    ),
    mutant(
        "a log that was cut is read from where it begins now",
        (_PARTITION + "PartitionWorker.claim", "if found.offset + 1 < log_start:", "if False:"),
        (
            _PARTITION + "PartitionWorker.claim",
            "self._read_offset = self.handed_offset = found.offset",
            "self._read_offset = self.handed_offset = max(found.offset, log_start - 1)",
        ),
    ),
    mutant(
        "the stream clock follows a record whose log time goes back",
        (
            _PARTITION + "decode",
            "if log_time is not None and (at := log_time(value)) > reached:",
            "if log_time is not None and (at := log_time(value)):",
        ),
    ),
    mutant(
        "what a state holds depends on which records were stepped together",
        (
            _LEDGER + "_apply",
            "state.ids = [*state.ids, fact.id][-IDS_MAX:]",
            "state.ids = [fact.id, *state.ids] if effects.states else [*state.ids, fact.id]",
        ),
    ),
    mutant(
        "the feed reads on from where the group has committed",
        (_FEED + "StageFeed._assigned", "if worker.position() >= 0:", "if False:"),
    ),
    mutant(
        "the feed takes a partition just assigned for read: deadlines on the wall clock fire ahead of its backlog",
        (_FEED + "StageFeed._assigned", "worker.read_up(0)", "pass"),
    ),
    mutant(
        "the feed takes an answer that comes late for a new one",
        (_FEED + "StageFeed._tell_read_up", "min(began, asked)", "began"),
    ),
)
