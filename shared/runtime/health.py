"""Liveness and readiness: each dependency brings a ping; `/readyz` lists them by name."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Ping = Callable[[], Awaitable[None]]

_PING_TIMEOUT_S = 2.0


@dataclass(slots=True)
class Health:
    """What the health endpoints tell. `started` turns true when every component runs; `draining` at shutdown."""

    pings: dict[str, Ping] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    started: bool = False
    draining: bool = False

    def add(self, name: str, ping: Ping, *, optional: bool = False) -> None:
        """Registers a check. The ping raises when its dependency does not answer, and says why.

        The trouble of an `optional` dependency is told but leaves the process ready.
        """
        self.pings[name] = ping
        if optional:
            self.optional.add(name)

    async def check(self) -> tuple[bool, dict[str, str]]:
        """Runs all pings at once, each for at most two seconds; returns readiness and a word per dependency."""
        names = list(self.pings)
        words = await asyncio.gather(*(self._word(self.pings[name]) for name in names))
        checks = dict(zip(names, words, strict=True))
        checks["process"] = "draining" if self.draining else "ok" if self.started else "starting"
        return all(word == "ok" for name, word in checks.items() if name not in self.optional), checks

    @staticmethod
    async def _word(ping: Ping) -> str:
        try:
            async with asyncio.timeout(_PING_TIMEOUT_S):
                await ping()
        except TimeoutError:
            return f"no answer within {_PING_TIMEOUT_S:g} s"
        except Exception as error:  # a health check reports every kind of trouble in words
            return f"{type(error).__name__}: {error}"[:300]
        return "ok"
