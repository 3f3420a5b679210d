"""Digests of what a stage keeps, as `freshet state verify` shows them, and where two of them part."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from shared.adapters.redis import RedisClient
from shared.cli.state.stages import STAGES as CODECS
from shared.contracts.topics import KEYED_PARTITIONS
from shared.runtime.admin.digest import Side, canonical_form, digest
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.state import unframe
from tests.chaos.watch import Stage

_SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class Picture:
    """A stage at one moment. `digests`: SHA-256 over the sorted entries of each kind, with counts; `states`: encoded,
    by profile, to tell where two pictures differ."""

    stage: Stage
    digests: Mapping[str, Any]
    states: Mapping[str, bytes]


async def pictures(redis_url: str, stages: tuple[Stage, ...], suffix: str = "") -> list[Picture]:
    """Of all `stages`, in the namespace of each or in the one beside it that ends with `suffix`."""
    redis = RedisClient(redis_url)
    try:
        return [await _picture(redis, stage, stage.line.namespace + suffix) for stage in stages]
    finally:
        await redis.client.aclose()


async def _picture(redis: RedisClient, stage: Stage, namespace: str) -> Picture:
    space = Keyspace(redis.client, namespace, stage.name, KEYED_PARTITIONS)
    canonical = canonical_form(CODECS[stage.name].load_codec())
    found = await digest(Side(space, stage.name), KEYED_PARTITIONS, canonical)
    states: dict[str, bytes] = {}
    async with aclosing(space.states()) as slices:
        async for _, entries in slices:
            states |= {entry.key.decode(): unframe(entry.framed)[1] for entry in entries if entry.framed is not None}
    return Picture(stage, asdict(found), states)


def difference(expected: Picture, found: Picture) -> str:
    """Returns an empty string for equal digests, otherwise the kinds that differ and the first place in a state."""
    kinds = [kind for kind in expected.digests if expected.digests[kind] != found.digests[kind]]
    if not kinds:
        return ""
    codec = CODECS[expected.stage.name].load_codec()
    for key in sorted(expected.states.keys() | found.states.keys()):
        sides = [picture.states.get(key) for picture in (expected, found)]
        plain = [msgspec.to_builtins(codec.decode(raw)) if raw is not None else None for raw in sides]
        if place := _first(plain[0], plain[1]):
            return f"{', '.join(kinds)} differ; state of {key}: {place}"
    return f"{', '.join(kinds)} differ: {dict(expected.digests['counts'])} and {dict(found.digests['counts'])} entries"


def _first(left: Any, right: Any, path: str = "") -> str:
    """Where two plain values part, and how."""
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = [(str(name), left.get(name), right.get(name)) for name in {**left, **right}]
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        pairs = [(str(index), one, other) for index, (one, other) in enumerate(zip(left, right, strict=True))]
    else:
        return "" if left == right else f"{path} is {str(left)[:_SHOWN_CHARS]} and {str(right)[:_SHOWN_CHARS]}"
    return next((place for name, one, other in pairs if (place := _first(one, other, f"{path}/{name}"))), "")
