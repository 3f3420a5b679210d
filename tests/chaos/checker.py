"""Checks one partition after a run: what was sent, what every topic holds, what Redis holds, against the oracle.

Everything is partition-local, because all keyed topics are co-partitioned; so partitions are checked in parallel, and
topics are read a piece at a time. The names of the checks are the invariants I1 to I10 of the guarantee's table in
`GUARANTEE.md`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from shared.contracts.facts import Fact
from shared.contracts.inbound import RECEIVED_AT_HEADER
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, INBOUND, PROFILE_UPDATES
from shared.contracts.vectors import FeatureVector
from shared.kernel.errors import Reason
from shared.kernel.ids import digest_id
from tests.chaos.crew import MAIN
from tests.chaos.findings import Findings
from tests.chaos.moves import check_moves
from tests.chaos.oracle import Folded, Oracle
from tests.chaos.reading import Job, Reader
from tests.chaos.scored import check_scores
from tests.chaos.segments import FEATURE_SET, MAIN_RULES, WALL_RULES
from tests.chaos.stored import check_stored

_REASONS = frozenset(str(reason) for reason in Reason)
_FAR_OFF = 1 << 62
Message = tuple[int, bytes]
"""Log time and a digest of the entity."""


class _Id(msgspec.Struct):
    id: str


class _Update(msgspec.Struct):
    """A `ProfileUpdate` as far as it says which fact is handed on."""

    fact: _Id | None = None


@dataclass
class Ingested:
    """The log of `events` while it is folded. `first`: by id what the first fact of it says; `returned`: values of
    scores."""

    first: dict[str, Message] = field(default_factory=dict)
    returned: dict[str, Any] = field(default_factory=dict)
    repeated: int = 0
    newest: int = 0


def check_partition(job: Job) -> Findings:
    """Reads everything of one partition and compares. Runs in a process of its own."""
    findings = Findings()
    read = Reader(job, findings)
    is_main = job.line == MAIN
    inbound = _inbound(read)
    oracle = Oracle(MAIN_RULES if is_main else WALL_RULES)
    log = _fold(read, oracle)
    findings.same_keys("I5 every message is one fact, with its body and log time", inbound, log.first, "message")
    findings.checked["repeated facts"] += log.repeated
    if not is_main:
        # On the wall clock time has passed for everybody by now, whatever the log says.
        oracle.log_time = _FAR_OFF
    oracle.end()
    _updates(findings, read, log.first.keys())
    check_moves(findings, read, oracle.profiles)
    allowed = None
    if is_main:
        allowed = check_scores(findings, read, oracle.profiles, _vectors(read, oracle.profiles), log.returned)
    _dead_letters(findings, read)
    check_stored(findings, job, oracle, read.ends, allowed)
    return findings


def _inbound(read: Reader) -> dict[str, Message]:
    """I1. Returns the first message of each id."""
    first: dict[str, Message] = {}
    for record in read.good(INBOUND):
        entity = INBOUND.codec.decode(record.value).body.xdm_entity
        if "_id" in entity:
            first.setdefault(entity["_id"], (_log_time(read, record), _digest(entity)))
    of_whom = "acknowledged message" if read.job.line == MAIN else "event answered 2xx"
    for id_ in read.job.acked:
        if not id_.startswith("tick"):
            read.findings.expect(f"I1 every {of_whom} is in inbound", id_ in first, id_)
    if read.job.unanswered:
        found = len(read.job.unanswered & first.keys())
        read.findings.checked["events not answered, found all the same"] += found
        read.findings.checked["events not answered, not found"] += len(read.job.unanswered) - found
    return first


def _log_time(read: Reader, record: ConsumerRecord) -> int:
    """As documented: the header on the stream clock, the end of Kafka's millisecond on the wall clock."""
    told = dict(record.headers).get(RECEIVED_AT_HEADER) if read.job.line.clock == "stream" else None
    return int(told) if told is not None else record.timestamp * 1000 + 999


def _digest(entity: Mapping[str, Any]) -> bytes:
    return blake2b(msgspec.json.encode(entity, order="sorted"), digest_size=16).digest()


def _fold(read: Reader, oracle: Oracle) -> Ingested:
    """Folds the log, and notes what it says: I5, first half, is that each message is a fact, once, as sent."""
    log = Ingested()
    for record in read.good(EVENTS):
        fact: Fact = EVENTS.codec.decode(record.value)
        oracle.fold("" if record.key is None else record.key.decode(), fact)
        if fact.type == "tick":
            continue
        if fact.id in log.first:
            log.repeated += 1
            continue
        log.first[fact.id] = (fact.received_at, _digest(fact.body))
        if fact.type == "score":
            log.returned[fact.id] = fact.body.get("_freshet")
            continue
        in_order = fact.received_at >= log.newest
        read.findings.expect("I5 first facts are in the order of their log times", in_order, fact.id)
        log.newest = max(log.newest, fact.received_at)
    return log


def _updates(findings: Findings, read: Reader, facts: Iterable[str]) -> None:
    """I5, second half: each fact is handed on."""
    handed: Counter[str] = Counter()
    decoder = msgspec.json.Decoder(_Update)
    for record in read.good(PROFILE_UPDATES):
        update = decoder.decode(record.value)
        if update.fact is not None:
            handed[update.fact.id] += 1
    findings.same_keys(
        "I5 every fact is handed to the profile store", dict.fromkeys(facts, True), dict.fromkeys(handed, True), "fact"
    )
    findings.checked["repeated updates"] += handed.total() - len(handed)


def _vectors(read: Reader, profiles: Mapping[str, Folded]) -> dict[str, FeatureVector]:
    """I2 and I10 of vectors: each is what the oracle has at its fact; the same id is the same vector. Returns them."""
    findings = read.findings
    expected = {
        digest_id("vector", key, fact_id, read.job.feature_hash): vector
        for key, profile in profiles.items()
        for fact_id, vector in profile.vectors.items()
    }
    seen: dict[str, FeatureVector] = {}
    for record in read.good(FEATURE_VECTORS):
        vector = FEATURE_VECTORS.codec.decode(record.value)
        findings.expect("I10 no NaN or infinity", all(map(math.isfinite, vector.values)), vector.id)
        findings.equal("I6 equal ids have equal content", seen.setdefault(vector.id, vector), vector, "vector")
        if vector.id in expected:
            told = expected[vector.id]
            findings.equal("I2 vectors are the oracle's", told, (vector.as_of, vector.values), vector.profile_id)
    findings.checked[f"vectors of {FEATURE_SET}"] += len(seen)
    return seen


def _dead_letters(findings: Findings, read: Reader) -> None:
    """I5: the dead letters are the poison, each once after dropping repeats of one source position."""
    sources = (INBOUND, EVENTS, PROFILE_UPDATES, FEATURE_VECTORS) if read.job.line == MAIN else (INBOUND, EVENTS)
    for topic in sources:
        source = (read.job.line.prefix + topic.name).encode()
        found: dict[int, bytes] = {}
        for letter in read.raw(topic.dlq_name):
            headers = dict(letter.headers)
            offset = int.from_bytes(headers["kafka_dlt-original-offset"], "big")
            findings.equal("I5 a dead letter names its source", source, headers["kafka_dlt-original-topic"], offset)
            findings.expect("I5 a dead letter has a known reason", headers["freshet-dlq-reason"].decode() in _REASONS)
            findings.equal(
                "I6 equal ids have equal content", found.setdefault(offset, letter.value), letter.value, "letter"
            )
        findings.same_keys("I5 dead letters are the poison", read.poisoned[topic.name], found, topic.name)
