"""The stage of segmentation: facts in, decisions out."""

from collections.abc import Callable

from services.segmentation.domain.decide import Tally, step
from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.state import State, StateCodec
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.runtime.stage import Batch, Effects, Stage


def stage(
    definitions: Callable[[], Definitions],
    report: Callable[[Tally], None] = lambda _: None,
    gate: Callable[[], bool] = lambda: True,
) -> Stage[Fact, State]:
    """Returns the stage. `definitions` is asked once per micro-batch; `gate` holds it until they have been read."""

    def decide(batch: Batch[Fact, State]) -> Effects[State]:
        tally = Tally()
        effects = step(definitions(), tally, batch)
        report(tally)
        return effects

    return Stage(
        name="segmentation",
        source=EVENTS,
        step=decide,
        outputs=(PROFILE_UPDATES, SEGMENT_MEMBERSHIPS, FEATURE_VECTORS),
        state=StateCodec(),
        gate=gate,
    )
