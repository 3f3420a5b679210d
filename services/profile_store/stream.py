"""The stage of the profile store: decided facts in, the union view out."""

from collections.abc import Callable
from operator import attrgetter

from services.profile_store.domain.state import STAGE, ProfileState, StateCodec
from services.profile_store.domain.step import Tally, step
from shared.contracts.topics import PROFILE_UPDATES
from shared.contracts.updates import ProfileUpdate
from shared.runtime.stage import Batch, Effects, Stage

_LOG_TIME: Callable[[ProfileUpdate], int] = attrgetter("decided_at")


def stage(report: Callable[[Tally], None] = lambda _: None) -> Stage[ProfileUpdate, ProfileState]:
    """Returns the stage. `report` is told what each step did."""

    def merge_updates(batch: Batch[ProfileUpdate, ProfileState]) -> Effects[ProfileState]:
        tally = Tally()
        effects = step(tally, batch)
        report(tally)
        return effects

    return Stage(
        name=STAGE, source=PROFILE_UPDATES, step=merge_updates, outputs=(), state=StateCodec(), log_time=_LOG_TIME
    )
