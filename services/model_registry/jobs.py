"""What the registry does on its own: publish waiting model events."""

from collections.abc import Awaitable, Callable

import faust


def attach(app: faust.App, publish: Callable[[], Awaitable[None]], interval_s: float) -> None:
    """Adds the timer that empties the outbox. `publish` must not raise."""

    @app.timer(interval_s, name="model_registry.outbox")  # type: ignore[untyped-decorator]
    async def outbox() -> None:
        await publish()
