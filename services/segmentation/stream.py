"""The stage of segmentation: facts in, decisions out."""

from collections.abc import Callable
from operator import attrgetter
from typing import Protocol

from services.segmentation.domain.decide import Tally, step
from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.passage import Passage
from services.segmentation.domain.state import State, StateCodec
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.runtime.stage import Batch, Effects, Interlude, Stage

_LOG_TIME: Callable[[Fact], int] = attrgetter("log_time")


class Passages(Interlude, Protocol):
    """Which definitions each partition decides by, and the turns that bring profiles over to new ones."""

    def of(self, partition: int) -> Passage:
        """Returns the passage of a claimed partition."""
        ...


def stage(
    definitions: Callable[[], Definitions],
    report: Callable[[Tally], None] = lambda _: None,
    gate: Callable[[], bool] = lambda: True,
) -> Stage[Fact, State]:
    """Returns the stage under definitions that hold for all profiles at once, asked once per micro-batch.

    A segment then sees facts from its definition on. `gate` holds the stage until definitions have been read.
    """

    def decide(batch: Batch[Fact, State]) -> Effects[State]:
        tally = Tally()
        effects = step(definitions(), tally, batch)
        report(tally)
        return effects

    return _stage(decide, gate, None)


def backfilled_stage(
    passages: Passages,
    report: Callable[[Tally], None] = lambda _: None,
    gate: Callable[[], bool] = lambda: True,
) -> Stage[Fact, State]:
    """Returns the stage that brings profiles over to new definitions as if these had held from the start."""

    def decide(batch: Batch[Fact, State]) -> Effects[State]:
        tally, passage = Tally(), passages.of(batch.partition)
        changing = passage if passage.target is not None else None
        effects = step(passage.running.definitions, tally, batch, changing)
        report(tally)
        return effects

    return _stage(decide, gate, passages)


def _stage(
    decide: Callable[[Batch[Fact, State]], Effects[State]], gate: Callable[[], bool], interlude: Interlude | None
) -> Stage[Fact, State]:
    return Stage(
        name="segmentation",
        source=EVENTS,
        step=decide,
        outputs=(PROFILE_UPDATES, SEGMENT_MEMBERSHIPS, FEATURE_VECTORS),
        state=StateCodec(),
        gate=gate,
        interlude=interlude,
        log_time=_LOG_TIME,
    )
