"""Checks one partition after a run: what was sent, what every topic holds, what Redis holds, against the oracle.

Everything is partition-local, because all keyed topics are co-partitioned; so partitions are checked in parallel. The
names of the checks are the invariants I1 to I10 of the guarantee's table in `GUARANTEE.md`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from aiokafka import ConsumerRecord

from shared.contracts.facts import Fact
from shared.contracts.memberships import ProfileMemberships, Transition
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, INBOUND, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS, Topic
from shared.kernel.errors import Reason
from shared.kernel.ids import digest_id
from tests.chaos.findings import Findings
from tests.chaos.oracle import Folded, Move, Oracle
from tests.chaos.reading import read_partition
from tests.chaos.segments import FEATURE_SET
from tests.chaos.stored import check_stored

_REASONS = frozenset(str(reason) for reason in Reason)


@dataclass(frozen=True, slots=True)
class Job:
    """What a checker needs. `acked`: ids in the order Kafka confirmed them; `poison`: (topic, raw value) pairs sent to
    this partition; `feature_hash`: of the feature set."""

    bootstrap_servers: str
    redis_port: int
    partition: int
    acked: Sequence[str]
    poison: frozenset[tuple[str, bytes]]
    feature_hash: str


def check_partition(job: Job) -> Findings:
    """Reads everything of one partition and compares. Runs in a process of its own."""
    findings = Findings()
    read = Reader(job, findings)
    inbound = _inbound(read)
    facts = [(_key(r), EVENTS.codec.decode(r.value)) for r in read.good(EVENTS)]
    _ingested(findings, inbound, [fact for _, fact in facts])
    oracle = Oracle()
    for key, fact in facts:
        oracle.fold(key, fact)
    oracle.end()
    _updates(findings, read, {fact.id for _, fact in facts if fact.type != "tick"})
    _moves(findings, read, oracle.profiles)
    _vectors(findings, read, oracle.profiles)
    _dead_letters(findings, read)
    check_stored(findings, job.redis_port, job.partition, oracle, job.feature_hash, read.ends)
    return findings


class Reader:
    """Topics of one partition. `ends`: end offsets of what was read; poison is set aside in `poisoned`."""

    def __init__(self, job: Job, findings: Findings) -> None:
        self.job = job
        self.findings = findings
        self.ends: dict[str, int] = {}
        self.poisoned: dict[str, dict[int, bytes]] = {}

    def raw(self, name: str) -> list[ConsumerRecord]:
        records = read_partition(self.job.bootstrap_servers, name, self.job.partition)
        self.ends[name] = records[-1].offset + 1 if records else 0
        return records

    def good(self, topic: Topic) -> Iterator[ConsumerRecord]:
        poisoned = self.poisoned.setdefault(topic.name, {})
        for record in self.raw(topic.name):
            if (topic.name, record.value) in self.job.poison:
                poisoned[record.offset] = record.value
            else:
                yield record


def _inbound(read: Reader) -> dict[str, tuple[int, Any]]:
    """I1. Returns the first message of each id as (log time, entity)."""
    first: dict[str, tuple[int, Any]] = {}
    for record in read.good(INBOUND):
        message = INBOUND.codec.decode(record.value)
        entity = message.body.xdm_entity
        if "_id" in entity:
            first.setdefault(entity["_id"], (int(dict(record.headers)["received-at"]), entity))
    for id_ in read.job.acked:
        if not id_.startswith("tick"):
            read.findings.expect("I1 every acknowledged message is in inbound", id_ in first, id_)
    return first


def _ingested(findings: Findings, inbound: dict[str, tuple[int, Any]], facts: Sequence[Fact]) -> None:
    """I5, first half: each message is a fact, once, as sent and in order."""
    first: dict[str, Fact] = {}
    newest = 0
    for fact in facts:
        if fact.type == "tick":
            continue
        if fact.id not in first:
            first[fact.id] = fact
            findings.expect("I5 first facts are in the order of their log times", fact.received_at >= newest, fact.id)
            newest = max(newest, fact.received_at)
    found = {fact.id: (fact.received_at, fact.body) for fact in first.values()}
    findings.same_keys("I5 every message is one fact, with its body and log time", inbound, found, "message")
    findings.checked["repeated facts"] += sum(fact.type != "tick" for fact in facts) - len(first)


def _updates(findings: Findings, read: Reader, facts: set[str]) -> None:
    """I5, second half: each fact is handed on."""
    handed: Counter[str] = Counter()
    for record in read.good(PROFILE_UPDATES):
        update = PROFILE_UPDATES.codec.decode(record.value)
        if update.fact is not None:
            handed[update.fact.id] += 1
    findings.same_keys(
        "I5 every fact is handed to the profile store", dict.fromkeys(facts, True), dict.fromkeys(handed, True), "fact"
    )
    findings.checked["repeated updates"] += handed.total() - len(handed)


def _moves(findings: Findings, read: Reader, profiles: dict[str, Folded]) -> None:
    """I6: transitions without repeats equal the oracle's, in order, alternate, and sequences have no holes."""
    seen: dict[str, Transition] = {}
    moves: dict[str, list[Move]] = {}
    by_sequence: dict[tuple[str, int], Transition] = {}
    repeated = 0
    for record in read.good(SEGMENT_MEMBERSHIPS):
        value: ProfileMemberships = SEGMENT_MEMBERSHIPS.codec.decode(record.value)
        for transition in value.transitions:
            known = seen.setdefault(transition.id, transition)
            if known is not transition:
                repeated += 1
                findings.equal("I6 equal ids have equal content", known, transition, value.profile_id)
                continue
            cause = f"{transition.cause.kind}:{transition.cause.id}"
            moves.setdefault(value.profile_id, []).append(
                Move(transition.effective_at, cause, transition.segment_id, transition.change)
            )
        _number(findings, by_sequence, value)
    for key in profiles.keys() | moves.keys():
        told, found = profiles[key].moves if key in profiles else [], moves.get(key, [])
        missing, extra = sorted(set(told) - set(found)), sorted(set(found) - set(told))
        same = not missing and not extra and len(told) == len(found)
        findings.expect(
            "I6 transitions without repeats are the oracle's", same, f"{key}: missing {missing}, not expected {extra}"
        )
        in_order = all(a.effective_at <= b.effective_at for a, b in pairwise(found))
        findings.expect("I6 a profile's transitions come in order", in_order, key)
        findings.expect("I6 entered and exited alternate", _alternates(found), key)
    _holes(findings, by_sequence)
    findings.checked["transitions"] += len(seen)
    findings.checked["repeated transitions"] += repeated


def _number(findings: Findings, by_sequence: dict[tuple[str, int], Transition], value: ProfileMemberships) -> None:
    """Notes which transition has which number: `sequence` is that of a record's last one."""
    first = value.sequence - len(value.transitions) + 1
    for number, transition in enumerate(value.transitions, first):
        place = (value.profile_id, number)
        known = by_sequence.setdefault(place, transition)
        findings.equal("I6 equal sequence numbers have equal content", known, transition, place)


def _holes(findings: Findings, by_sequence: dict[tuple[str, int], Transition]) -> None:
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


def _vectors(findings: Findings, read: Reader, profiles: dict[str, Folded]) -> None:
    """I2 and I10 of vectors: each is what the oracle has at its fact; the same id is the same vector."""
    expected = {
        digest_id("vector", key, fact_id, read.job.feature_hash): vector
        for key, profile in profiles.items()
        for fact_id, vector in profile.vectors.items()
    }
    seen: dict[str, Any] = {}
    for record in read.good(FEATURE_VECTORS):
        vector = FEATURE_VECTORS.codec.decode(record.value)
        findings.expect("I10 no NaN or infinity", all(map(math.isfinite, vector.values)), vector.id)
        findings.equal("I6 equal ids have equal content", seen.setdefault(vector.id, vector), vector, "vector")
        if vector.id in expected:
            told = expected[vector.id]
            findings.equal("I2 vectors are the oracle's", told, (vector.as_of, vector.values), vector.profile_id)
    findings.checked[f"vectors of {FEATURE_SET}"] += len(seen)


def _dead_letters(findings: Findings, read: Reader) -> None:
    """I5: the dead letters are the poison, each once after dropping repeats of one source position."""
    for topic in (INBOUND, EVENTS, PROFILE_UPDATES):
        found: dict[int, bytes] = {}
        for letter in read.raw(topic.dlq_name):
            headers = dict(letter.headers)
            offset = int.from_bytes(headers["kafka_dlt-original-offset"], "big")
            findings.equal(
                "I5 a dead letter names its source", topic.name.encode(), headers["kafka_dlt-original-topic"], offset
            )
            findings.expect("I5 a dead letter has a known reason", headers["freshet-dlq-reason"].decode() in _REASONS)
            findings.equal(
                "I6 equal ids have equal content", found.setdefault(offset, letter.value), letter.value, "letter"
            )
        findings.same_keys("I5 dead letters are the poison", read.poisoned[topic.name], found, topic.name)


def _key(record: ConsumerRecord) -> str:
    return "" if record.key is None else str(record.key.decode())
