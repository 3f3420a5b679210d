"""Events over HTTP on the wall clock: each person views one thing once and falls silent.

The sender notes what was answered 2xx. What was not answered, or answered 503, is sent again with the same id at the
other door, or given up: then nobody knows whether it counts, but it never counts twice.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import httpx
import msgspec

from shared.contracts.inbound import InboundBody, InboundHeader, InboundMessage
from shared.kernel.clock import format_instant
from tests.chaos.segments import VIEW
from tests.chaos.start import WallDoor
from tests.chaos.workload import NAMESPACE

_TIMEOUT_S = 4.0
_TRIES_MAX = 6
_GIVE_UP_SHARE = 0.3
_WAITING_MAX = 200
_SLICE_S = 0.1


@dataclass
class WallLoad:
    """`accepted`: ids answered 2xx; `unanswered`: ids never answered 2xx though they were sent; `done`: answers by
    kind, and requests sent again."""

    door: WallDoor
    rate: float
    seed: int
    accepted: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    _number: int = 0
    _under_way: int = 0
    _stopped: bool = False

    async def run(self) -> None:
        """Sends until `stop`, then waits for the last answers."""
        random = Random(self.seed)
        limits = httpx.Limits(max_connections=_WAITING_MAX)
        started, sent = time.monotonic(), 0
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, limits=limits) as http, asyncio.TaskGroup() as group:
            while not self._stopped:
                due = int((time.monotonic() - started) * self.rate)
                for _ in range(max(0, due - sent)):
                    # Beyond this the sender would only pile up requests that nobody takes.
                    if self._under_way < _WAITING_MAX:
                        self._under_way += 1
                        group.create_task(self._send(http, random))
                sent = due
                await asyncio.sleep(_SLICE_S)

    def stop(self) -> None:
        self._stopped = True

    async def _send(self, http: httpx.AsyncClient, random: Random) -> None:
        try:
            await self._until_answered(http, random)
        finally:
            self._under_way -= 1

    async def _until_answered(self, http: httpx.AsyncClient, random: Random) -> None:
        self._number += 1
        id_ = f"w{self.seed}-{self._number}"
        raw = self._message(id_)
        doors = list(self.door.ports)
        random.shuffle(doors)
        self.unanswered.add(id_)
        for attempt in range(_TRIES_MAX):
            if await self._post(http, doors[attempt % len(doors)], raw):
                self.unanswered.discard(id_)
                self.accepted.add(id_)
                return
            if random.random() < _GIVE_UP_SHARE:
                return
            self.done["sent again"] += 1
            await asyncio.sleep(0.2 * (attempt + 1))

    async def _post(self, http: httpx.AsyncClient, port: int, raw: bytes) -> bool:
        url = f"http://127.0.0.1:{port}/collection/{self.door.connection}"
        try:
            answer = await http.post(url, content=raw, headers={"content-type": "application/json"})
        except httpx.TransportError as error:
            self.done[f"not answered: {type(error).__name__}"] += 1
            return False
        self.done[f"answered {answer.status_code}"] += 1
        assert answer.is_success or answer.status_code == 503, f"{answer.status_code}: {answer.text[:300]}"
        return answer.is_success

    def _message(self, id_: str) -> bytes:
        entity = {
            "_id": id_,
            "timestamp": format_instant(time.time_ns() // 1_000_000 * 1_000),
            "eventType": VIEW,
            "device": {"type": "phone"},
            "identityMap": {NAMESPACE: [{"id": person(id_), "primary": True}]},
        }
        return msgspec.json.encode(InboundMessage(InboundHeader(self.door.dataset), InboundBody(entity)))


def person(id_: str) -> str:
    """Whose event it is."""
    return f"{id_}@example.org"
