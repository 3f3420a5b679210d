"""Checks what Redis holds of one partition: states, fences, views and nothing else."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import redis

from services.profile_store.domain.state import StateCodec as ProfileCodec
from services.segmentation.domain.state import StateCodec
from shared import merge
from shared.contracts import redis_keys
from shared.contracts.topics import EVENTS, PROFILE_UPDATES
from shared.features.packing import unpack
from shared.kernel.clock import DAY
from shared.runtime.state import unframe
from tests.chaos.findings import Findings
from tests.chaos.oracle import Folded, Oracle
from tests.chaos.reading import Job
from tests.chaos.scored import Allowed
from tests.chaos.segments import BUY, FEATURE_SET, MODEL, SEGMENTS, VIEW

_SCAN = 2_000
_LEFT_KEPT_US = 30 * DAY


def _members(client: redis.Redis, name: str) -> set[str]:
    found: Any = client.smembers(name)
    return {member.decode() for member in found}


def check_stored(findings: Findings, job: Job, oracle: Oracle, ends: Mapping[str, int], scores: Allowed | None) -> None:
    """Compares every key of the partition with the oracle. `scores`: which score each profile has to have; None where
    nothing is scored and nothing is merged."""
    stages = [("segmentation", EVENTS, _decided), ("profile_store", PROFILE_UPDATES, _merged)]
    with redis.Redis(port=job.redis_port) as client:
        for stage, topic, compare in stages[: 1 if scores is None else 2]:
            fence = int(client.hget(redis_keys.fence(job.line.namespace, stage, job.partition), "offset") or -1)
            findings.equal("I4 the fence is at the log's end", ends[topic.name] - 1, fence, f"{stage} {job.partition}")
            states = dict(_states(client, job, stage))
            findings.same_keys(
                "I7 there is a state for each profile and for nobody else",
                dict.fromkeys(oracle.profiles, True),
                dict.fromkeys(states, True),
                stage,
            )
            for key, (offset, _) in states.items():
                findings.expect("I4 no state lies beyond the fence", offset <= fence, key)
            for key in states.keys() & oracle.profiles.keys():
                compare(findings, key, states[key][1], oracle.profiles[key], (scores or {}).get(key))
        if scores is not None:
            _views(findings, client, job, oracle)


def _states(client: redis.Redis, job: Job, stage: str) -> Iterator[tuple[str, tuple[int, bytes]]]:
    prefix = redis_keys.state(job.line.namespace, stage, job.partition, "")
    names: Any = list(client.scan_iter(match=prefix.replace("[", r"\[") + "*", count=_SCAN))
    for start in range(0, len(names), _SCAN):
        some = names[start : start + _SCAN]
        found: Any = client.mget(some)
        for name, raw in zip(some, found, strict=True):
            if raw is not None:
                yield name.decode().removeprefix(prefix), unframe(raw)


def _score(findings: Findings, key: str, attributes: Mapping[str, Any], allowed: frozenset[float] | None) -> None:
    if allowed is not None:
        found = attributes.get("_freshet", {}).get(MODEL)
        findings.expect("I2 a profile's score is that of its newest vector", found in allowed, f"{key}: {found}")


def _decided(findings: Findings, key: str, raw: bytes, told: Folded, score: frozenset[float] | None) -> None:
    state = StateCodec().decode(raw)
    findings.equal("I3 memberships are the oracle's, with their instants", told.members, state.engine.members, key)
    findings.equal("I6 the sequence counts the changes", len(told.moves), state.sequence, key)
    tier = state.attributes.get("loyalty", {}).get("tier", "")
    findings.equal("I2 attributes are the newest", told.life.tier, tier, key)
    _score(findings, key, state.attributes, score)


def _merged(findings: Findings, key: str, raw: bytes, told: Folded, score: frozenset[float] | None) -> None:
    state = ProfileCodec().decode(raw)
    _score(findings, key, merge.merged(state.fragments), score)
    counts = {type_: activity.count for type_, activity in state.activities.items()}
    findings.equal("I2 events are counted once each", dict(told.activities), counts, key)
    for type_, activity in state.activities.items():
        times = told.life.events[type_]
        ends = (times[0][0], times[-1][0]) if times else None
        findings.equal("I2 first and last event", ends, (activity.first, activity.last), f"{key} {type_}")
    realized = {name: held.since for name, held in state.segments.items() if held.realized}
    findings.equal("I3 the profile store has the same memberships", told.members, realized, key)
    left = {name: held.since for name, held in state.segments.items() if not held.realized}
    recent = state.last_modified - _LEFT_KEPT_US
    expected = {name: at for name, at in told.left.items() if at >= recent or name in left}
    findings.equal("I3 the profile store knows who left when", expected, left, key)
    _finite(findings, key, state)


def _finite(findings: Findings, key: str, value: Any) -> None:
    stack = [msgspec.to_builtins(value, builtin_types=(bytes,))]
    fine = True
    while stack:
        one = stack.pop()
        if isinstance(one, float):
            fine &= math.isfinite(one)
        elif isinstance(one, dict):
            stack.extend(one.values())
        elif isinstance(one, list | tuple):
            stack.extend(one)
    findings.expect("I10 no NaN or infinity", fine, key)


def _views(findings: Findings, client: redis.Redis, job: Job, oracle: Oracle) -> None:
    """The sets of members and the vectors that readers see."""
    namespace, partition = job.line.namespace, job.partition
    for segment in SEGMENTS:
        name = redis_keys.view(namespace, "profile_store", partition, redis_keys.members_name(segment.id))
        found = _members(client, name)
        expected = {key for key, folded in oracle.profiles.items() if segment.id in folded.members}
        findings.equal("I3 members of a segment", expected, found, f"{segment.id} {partition}")
    keys = [key for key, folded in oracle.profiles.items() if folded.vectors]
    names = [
        redis_keys.view(namespace, "profile_store", partition, redis_keys.vector_name(FEATURE_SET, key)) for key in keys
    ]
    for start in range(0, len(keys), _SCAN):
        raws: Any = client.mget(names[start : start + _SCAN])
        for key, raw in zip(keys[start : start + _SCAN], raws, strict=True):
            *_, newest = oracle.profiles[key].vectors.values()
            packed = unpack(raw, job.feature_hash) if raw is not None else None
            shown = (packed.as_of, packed.values) if packed is not None else None
            findings.equal(f"I2 the vector that readers see ({BUY}, {VIEW})", newest, shown, key)
