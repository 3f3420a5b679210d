"""Turns of an interlude (`stage.Interlude`) between the micro-batches of a partition."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared.kernel.errors import Retryable
from shared.runtime.logging import get_logger
from shared.runtime.stage import Due, Effects, Interlude, Stage, Turn

_TURN_PACE_S = 0.002
_LOOK_PACE_S = 0.1
_GATE_PACE_S = 0.02
_CLAIM_PACE_S = 0.5


def pace(interlude: Interlude, partition: int) -> float:
    """How long (seconds) a partition without records waits for its next turn, or until it asks whether there is one."""
    return _TURN_PACE_S if interlude.is_busy(partition) else _LOOK_PACE_S


async def opened(stage: Stage[Any, Any]) -> None:
    """Returns once the gate is open."""
    while not stage.gate():  # noqa: ASYNC110 - a gate is a question, it has no event to wait for
        await asyncio.sleep(_GATE_PACE_S)


async def admitted(stage: Stage[Any, Any], partition: int, position: int) -> None:
    """Returns once a claimed partition may be stepped: the gate is open and the interlude knows the partition.

    Deadlines wait for this too: fired under definitions not yet read, they would end every membership.
    """
    await opened(stage)
    while stage.interlude is not None:
        try:
            await stage.interlude.claimed(partition, position)
        except Retryable as error:
            get_logger("interlude").warning("claim_waits", stage=stage.name, partition=partition, error=str(error))
            await asyncio.sleep(_CLAIM_PACE_S)
        else:
            return


async def take_turn(
    turn: Turn,
    process: Callable[[Sequence[Due]], Awaitable[None]],
    write: Callable[[Effects[Any]], Awaitable[None]],
    drained: Callable[[], Awaitable[None]],
) -> None:
    """Carries a turn out: steps its keys, writes its views, waits for durability where it asks for that."""
    if turn.due:
        await process(turn.due)
    if turn.views:
        await write(Effects(views=list(turn.views)))
    if turn.barrier:
        await drained()
    turn.done()
