"""The control plane of a process: a Faust app for agents on control topics, timers and crontabs.

Hot topics never pass through Faust agents (see `feed.py`). Rules for agents here: they must not raise (an exception
acknowledges the event), and they only record what is asked and return.
"""

import asyncio
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import faust
from faust.auth import Credentials
from faust.contrib.asgi import bind_to_running_loop
from mode import Service

from shared.adapters.kafka_access import KafkaAccess
from shared.runtime.logging import get_logger

_STOP_LIMIT_S = 3.0


def control_app(name: str, settings: Any) -> faust.App:
    """Returns a Faust app that is safe to run inside a service.

    Faust's own web server, leader topic, topic declaration and exactly-once mode are off; the group is
    `<prefix><name>-control`. Agents and timers are attached by the service with explicit names.
    """
    return faust.App(
        f"{settings.topic_prefix}{name}-control",
        broker=";".join(f"kafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")),
        broker_credentials=_credentials(settings.kafka_access),
        store="memory://",
        datadir=str(Path(gettempdir()) / f"freshet-{name}"),  # for tables, which are not used; never in a checkout
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=30.0,
        stream_wait_empty=True,
    )


def _credentials(access: KafkaAccess) -> Credentials | None:
    context = access.ssl_context()
    if access.uses_sasl:
        return faust.SASLCredentials(
            username=access.sasl_username,
            password=access.sasl_password,
            mechanism=access.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


class ControlHost(Service):
    """Runs a Faust app on the process's loop; if the app crashes, so does this component."""

    def __init__(self, app: faust.App, *, consumes: bool) -> None:
        super().__init__()
        self._app = app
        self._consumes = consumes
        self._log = get_logger("control")

    async def on_start(self) -> None:
        bind_to_running_loop(self._app)
        self._app.finalize()
        # Without agents there is no group to join, and timers would wait for a table recovery that never comes.
        self._app.producer_only = not self._consumes
        await self._app.maybe_start()

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            if self._app.crashed:
                await self.crash(self._app.crash_reason or RuntimeError("the Faust app crashed"))
            await self.sleep(0.5)

    async def on_stop(self) -> None:
        try:
            async with asyncio.timeout(_STOP_LIMIT_S):
                await self._app.stop()
        except TimeoutError:
            self._log.warning("control_stop_took_too_long", limit_s=_STOP_LIMIT_S)
