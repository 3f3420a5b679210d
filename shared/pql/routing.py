"""From leaves to the index: every condition on events once, with the leaves and the series that want its events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.pql.core import Core
from shared.pql.index import Matcher, Tally, matcher_of
from shared.pql.leaves.base import Leaf
from shared.pql.leaves.sequence import SequenceLeaf
from shared.pql.leaves.series import CountView, SequenceView, Series
from shared.pql.leaves.tally import TallyLeaf
from shared.pql.leaves.window import CountLeaf

Places = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Readers:
    """Who reads a leaf, by its key: all conditions, those that compare its count with a number, and those to whom more
    matters; `alone` names a segment that is nothing but the leaf, `features` are the leaves that features read."""

    all: Mapping[int, Places]
    numbers: Mapping[int, dict[int, Places]]
    otherwise: Mapping[int, Places]
    alone: Mapping[int, str]
    features: frozenset[int]


@dataclass(slots=True)
class _Wanted:
    predicate: Core
    leaves: list[Leaf] = field(default_factory=list)
    counts: list[CountView] = field(default_factory=list)
    sequences: dict[int, tuple[SequenceView, int]] = field(default_factory=dict)


def matchers_for(leaves: Iterable[Leaf], readers: Readers, previous: Mapping[int, Matcher]) -> dict[int, Matcher]:
    """The matchers by the key of their condition; `previous` ones lend their compiled tests."""
    wanted: dict[int, _Wanted] = {}
    for leaf in leaves:
        view = None
        if isinstance(leaf, SequenceLeaf):
            view = SequenceView(leaf, *_who(leaf, readers), readers.alone.get(leaf.key))
        for bit, (key, predicate) in enumerate(leaf.predicates):
            found = wanted.get(key)
            if found is None:
                found = wanted[key] = _Wanted(predicate)
            if view is not None:
                found.sequences[leaf.key] = view, found.sequences.get(leaf.key, (view, 0))[1] | 1 << bit
            elif isinstance(leaf, CountLeaf):
                numbers, otherwise = readers.numbers.get(leaf.key, {}), readers.otherwise.get(leaf.key, ())
                found.counts.append(CountView(leaf, leaf.lookback, numbers, otherwise, *_who(leaf, readers)))
            else:
                found.leaves.append(leaf)
    return {key: _matcher(key, found, previous.get(key), readers) for key, found in wanted.items()}


def _who(leaf: Leaf, readers: Readers) -> tuple[Places, bool]:
    return readers.all.get(leaf.key, ()), leaf.key in readers.features


def _tallies(leaves: Iterable[Leaf], readers: Readers) -> tuple[Tally, ...]:
    return tuple(
        Tally(
            leaf, readers.numbers.get(leaf.key, {}), readers.otherwise.get(leaf.key, ()), leaf.key in readers.features
        )
        for leaf in leaves
        if isinstance(leaf, TallyLeaf) and leaf.counts_events
    )


def _matcher(key: int, wanted: _Wanted, known: Matcher | None, readers: Readers) -> Matcher:
    series = None
    if wanted.counts or wanted.sequences:
        series = Series(key, tuple(wanted.counts), tuple(wanted.sequences.values()))
    base = known or matcher_of(wanted.predicate)
    tallies = _tallies(wanted.leaves, readers)
    others = tuple(leaf for leaf in wanted.leaves if all(leaf is not tally.leaf for tally in tallies))
    return Matcher(base.predicate, base.types, base.equality, base.test, tuple(wanted.leaves), series, tallies, others)
