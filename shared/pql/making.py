"""Specs become leaves."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from shared.pql.bounds import window_of
from shared.pql.codegen import compile_event
from shared.pql.leaves.aggregates import ALGEBRAS
from shared.pql.leaves.base import Leaf, LeafSpec, Prepare, Record
from shared.pql.leaves.general import GeneralLeaf
from shared.pql.leaves.matching import shape_of
from shared.pql.leaves.sequence import SequenceLeaf
from shared.pql.leaves.tally import TallyLeaf
from shared.pql.leaves.window import WindowLeaf


def content_key(*content: object) -> int:
    """A 64-bit key of content that has a stable `repr`; equal content has one key in every process."""
    return int.from_bytes(blake2b(repr(content).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def leaf_key(spec: LeafSpec) -> int:
    """The key under which a leaf's state is kept."""
    names = None if spec.names is None else sorted(spec.names)
    return content_key(
        spec.family, spec.predicate, spec.interval, spec.function, spec.body, spec.extra, names, spec.entries
    )


def make_leaf(spec: LeafSpec) -> Leaf:
    """Build the leaf of a spec; compiles its body and step conditions."""
    key, window = leaf_key(spec), window_of(spec.interval)
    match spec.family:
        case "tally":
            return TallyLeaf(key, spec, ALGEBRAS[spec.function], _prepare(spec) or _one)
        case "window":
            prepare = _prepare(spec)
            algebra = None if prepare is None else ALGEBRAS[spec.function]
            return WindowLeaf(key, spec, window, algebra, prepare)
        case "sequence":
            steps, total = spec.extra
            windows = tuple(window_of(interval) for _, interval, _, _ in steps)
            return SequenceLeaf(key, spec, windows, shape_of([(gap, negated) for _, _, gap, negated in steps], total))
        case _:
            return GeneralLeaf(key, spec, window)


def _one(record: Record) -> int:
    return 1


def _prepare(spec: LeafSpec) -> Prepare | None:
    if spec.body is None:
        return None
    value: Callable[[Record], Any] = compile_event(spec.body)
    contribution = ALGEBRAS[spec.function].prepare
    return lambda record: contribution(value(record))
