"""Specs become leaves."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from shared.pql.bounds import window_of
from shared.pql.codegen import compile_event
from shared.pql.history import step_predicates
from shared.pql.leaves.aggregates import ALGEBRAS
from shared.pql.leaves.base import Leaf, LeafSpec, Prepare, Record
from shared.pql.leaves.general import GeneralLeaf
from shared.pql.leaves.matching import shape_of
from shared.pql.leaves.sequence import SequenceLeaf
from shared.pql.leaves.tally import TallyLeaf
from shared.pql.leaves.window import CountLeaf, WindowLeaf
from shared.pql.windows import MovingBound


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
    steps = step_predicates(spec) if spec.family == "sequence" else [spec.predicate]
    predicates = tuple((content_key("series", predicate), predicate) for predicate in steps)
    match spec.family:
        case "tally":
            return TallyLeaf(key, spec, predicates, ALGEBRAS[spec.function], _prepare(spec) or _one)
        case "window":
            prepare = _prepare(spec)
            if prepare is not None:
                return WindowLeaf(key, spec, window, predicates, ALGEBRAS[spec.function], prepare)
            looks_back = isinstance(window.low, MovingBound) and window.high is None
            return (CountLeaf if looks_back else WindowLeaf)(key, spec, window, predicates)
        case "sequence":
            parts, total = spec.extra
            windows = tuple(window_of(interval) for _, interval, _, _ in parts)
            shape = shape_of([(gap, negated) for _, _, gap, negated in parts], total)
            return SequenceLeaf(key, spec, windows, shape, predicates)
        case _:
            return GeneralLeaf(key, spec, window, predicates)


def _one(record: Record) -> int:
    return 1


def _prepare(spec: LeafSpec) -> Prepare | None:
    if spec.body is None:
        return None
    value: Callable[[Record], Any] = compile_event(spec.body)
    contribution = ALGEBRAS[spec.function].prepare
    return lambda record: contribution(value(record))
