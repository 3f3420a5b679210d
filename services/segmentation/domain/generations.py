"""Sets of definitions as partitions take them up: one generation after the other, each with an id of its content."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from services.segmentation.domain.definitions import Definitions, compile_definitions, set_name
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.vectors import FeatureSetDefinition
from shared.kernel.ids import digest_id


class _Wire(msgspec.Struct, omit_defaults=True):
    segments: tuple[SegmentDefinition, ...] = ()
    feature_sets: tuple[FeatureSetDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """All live definitions at one time: compiled, and as `encoded` JSON, from which the old ones can be made again
    when the topic has long compacted them away. Equal definitions have one `id` in every process."""

    id: str
    definitions: Definitions
    encoded: bytes


def generation_of(
    segments: Iterable[SegmentDefinition],
    feature_sets: Iterable[FeatureSetDefinition],
    previous: Definitions | None = None,
) -> Generation:
    """Compiles what is live of definitions. Raises PqlError as `compile_definitions` does."""
    live = tuple(sorted((s for s in segments if not s.deleted), key=lambda s: s.id))
    sets = tuple(sorted((s for s in feature_sets if not s.deleted), key=lambda s: s.name))
    encoded = msgspec.json.encode(_Wire(live, sets))
    # Types were checked when each was stored, against a schema that may have grown since.
    definitions = compile_definitions(live, sets, pql.Schema.permissive(), previous)
    return Generation(generation_id(encoded), definitions, encoded)


def generation_id(encoded: bytes) -> str:
    """The id of what `Generation.encoded` holds."""
    return digest_id("definitions", encoded.decode())


def decode_generation(encoded: bytes, previous: Definitions | None = None) -> Generation:
    """Compiles what `Generation.encoded` holds."""
    wire = msgspec.json.decode(encoded, type=_Wire)
    return generation_of(wire.segments, wire.feature_sets, previous)


def versions_in(encoded: bytes) -> dict[str, int]:
    """The versions of segments (by id) and of feature sets (by `set_name`) in an encoded generation."""
    wire = msgspec.json.decode(encoded, type=_Wire)
    return {s.id: s.version for s in wire.segments} | {set_name(f.name): f.version for f in wire.feature_sets}


def encode_generations(generations: Iterable[Generation]) -> bytes:
    """Several generations as one JSON array."""
    return b"[" + b",".join(generation.encoded for generation in generations) + b"]"


def split_generations(encoded: bytes) -> list[bytes]:
    """What `encode_generations` has joined, each as `Generation.encoded`."""
    return [bytes(raw) for raw in msgspec.json.decode(encoded, type=list[msgspec.Raw])]


def is_given_up(running: Generation, target: Generation, wanted: Generation) -> bool:
    """Tells whether nothing that `target` changes in `running` is wanted any more as it is there."""
    before, on_the_way, after = (_contents(g.definitions) for g in (running, target, wanted))
    return all(
        on_the_way.get(name) != after.get(name)
        for name in before.keys() | on_the_way.keys()
        if before.get(name) != on_the_way.get(name)
    )


def _contents(definitions: Definitions) -> dict[str, int | str]:
    sets = {set_name(name): hash_ for name, hash_ in definitions.feature_hashes.items()}
    return {**definitions.versions, **sets}


def history_plan(origins: Sequence[Generation], new: Generation) -> pql.Plan | None:
    """The plan that keeps the histories which `new` reads and at least one of `origins` does not keep."""
    after = new.definitions.plan
    plans = [pql.history_plan(origin.definitions.plan, after) for origin in origins]
    # Each names its features by their place in `after`, so that what several lack is kept once.
    specs = {f.spec.name: f.spec for plan in plans if plan is not None for f in plan.features}
    return pql.build_plan((), [specs[name] for name in sorted(specs)], after) if specs else None


def lacking_history(origins: Sequence[Generation], new: Generation) -> tuple[str, ...]:
    """Names the segments (by id) and feature sets of `new` that read histories which one of `origins` does not keep."""
    return tuple(dict.fromkeys(name for origin in origins for name in _lacking(origin, new)))


def _lacking(old: Generation, new: Generation) -> list[str]:
    before, after = old.definitions.plan, new.definitions.plan
    found = [s.id for s in after.segments if pql.lacks_history(before, after, s.spec.expression)]
    for feature in after.features:
        if pql.lacks_history(before, after, feature.spec.expression):
            found.append(set_name(feature.spec.name.split("/", 1)[0]))
    return found
