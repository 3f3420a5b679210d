"""Asks for a model when most events have been sent, and waits for it."""

import asyncio

from deploy.demo.definitions import MODEL, ModelRecipe
from deploy.demo.state import RunState
from shared.sdk import ApiError, Freshet, Run, Unreachable

SHARE_SENT = 0.6
"""Share of the events sent when training is asked for: the rest is scored by the model."""

_RUN_ID = "demo"
_POLL_S = 1.0


async def train(freshet: Freshet, recipe: ModelRecipe, state: RunState, due: asyncio.Event) -> None:
    """Waits for `due`, requests the run and follows it to its end; a service that restarts meanwhile is waited for."""
    await due.wait()
    run: Run | None = None
    while run is None or not run.ended:
        try:
            if run is None:
                run = await asyncio.to_thread(
                    freshet.training.request, "propensity", MODEL, recipe.parameters, run_id=_RUN_ID
                )
            else:
                await asyncio.sleep(_POLL_S)
                run = await asyncio.to_thread(freshet.training.run, run.id)
            state.run = run
        except Unreachable:
            await asyncio.sleep(_POLL_S)
        except ApiError as error:
            # A request is durable in Kafka before its run is in the table; anything else is final.
            if run is None or error.status != 404:
                state.run = Run(_RUN_ID, "FAILED", error.detail, {}, None)
                return
