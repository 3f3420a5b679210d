"""A steady load that touches every service and whose state, once warm, should not grow any more.

Two hundred regulars send nearly all events, so that every ring of remembered ids is full after a quarter of an hour;
a thousand occasional people take turns, more than the caches hold, so that states are loaded and evicted all the
time. Windows are minutes long, so that time alone makes people leave.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from aiokafka import AIOKafkaProducer

from shared.contracts.inbound import InboundBody, InboundHeader, InboundMessage
from shared.contracts.topics import INBOUND

NAMESPACE = "Email"
MODEL = FEATURE_SET = "shop"
FEATURES: Mapping[str, str] = {
    "views": 'xEvent[eventType = "commerce.productViews"].count()',
    "purchases": 'xEvent[eventType = "commerce.purchases"].count()',
    "spent": 'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal)',
}
SEGMENTS: Mapping[str, str] = {
    "active": "xEvent[timestamp occurs <= 20 seconds before now].count() > 0",
    "busy": "xEvent[timestamp occurs <= 1 minutes before now].count() >= 60",
    "viewers": 'xEvent[eventType = "commerce.productViews" and timestamp occurs <= 2 minutes before now].count() > 1',
    "shopping": 'xEvent[eventType = "commerce.purchases" and timestamp occurs <= 5 minutes before now].count() >= 2',
    "spenders": 'xEvent[eventType = "commerce.purchases" and timestamp occurs <= 3 minutes before now]'
    ".sum(commerce.order.priceTotal) > 300",
    "quiet": "xEvent.count() >= 3 and xEvent.max(timestamp) occurs > 1 minutes before now",
    "buyers": 'xEvent[eventType = "commerce.purchases"].count() >= 1',
    "rich": 'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal) >= 1000',
}
_TYPES = ("commerce.productViews",) * 8 + ("commerce.productListAdds", "commerce.purchases")
_REGULARS, _OCCASIONALS = 200, 1_000
_SLICE_S = 0.1
_ASKING_EVERY_S = 0.2


@dataclass
class Load:
    """Sends `rate` events a second, one in fifty over HTTP and the rest through Kafka, and asks for profiles,
    predictions and segment sizes. `urls`: base URL by service. `done`: how many of what, errors included."""

    urls: Mapping[str, str]
    dataset: str
    connection: str
    rate: float
    seed: int
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._turns = itertools.cycle(range(_OCCASIONALS))

    async def run(self, bootstrap_servers: str, seconds: float) -> None:
        """Sends and asks for `seconds`."""
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
        await producer.start()
        end = time.monotonic() + seconds
        try:
            async with httpx.AsyncClient(timeout=30) as http, asyncio.TaskGroup() as group:
                group.create_task(self._send(producer, http, end))
                group.create_task(self._ask(http, end))
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, http: httpx.AsyncClient, end: float) -> None:
        started, sent = time.monotonic(), 0
        while (now := time.monotonic()) < end:
            count = int(self.rate * (now - started)) - sent
            by_http = [self._message() for _ in range(count // 30)]
            for _ in range(count - len(by_http)):
                person, message = self._message()
                await producer.send(INBOUND.name, msgspec.json.encode(message), key=person.encode())
            await asyncio.gather(*(self._post(http, message) for _, message in by_http))
            self.done["events"] += count
            sent += count
            await asyncio.sleep(_SLICE_S)

    async def _post(self, http: httpx.AsyncClient, message: InboundMessage) -> None:
        body = msgspec.json.encode(message)
        await self._note("collected", http.post(f"{self.urls['ingestion']}/collection/{self.connection}", content=body))

    async def _ask(self, http: httpx.AsyncClient, end: float) -> None:
        profiles, edge = self.urls["profile_store"], self.urls["edge_inference"]
        while time.monotonic() < end:
            person = self._person()
            query = {"schema.name": "_xdm.context.profile", "entityId": person, "entityIdNS": NAMESPACE}
            await self._note("looked_up", http.get(f"{profiles}/ups/access/entities", params=query))
            identity = {"identity": {"namespace": NAMESPACE, "id": person}}
            await self._note("predicted", http.post(f"{edge}/predict/{MODEL}", json=identity))
            segment = self._random.choice(list(SEGMENTS))
            await self._note("counted", http.get(f"{profiles}/ups/segments/{segment}/count"))
            await asyncio.sleep(_ASKING_EVERY_S)

    async def _note(self, what: str, request: Any) -> None:
        try:
            answer = await request
        except httpx.TransportError as error:
            self.done[f"{what} {type(error).__name__}"] += 1
        else:
            self.done[what if answer.is_success else f"{what} {answer.status_code}"] += 1

    def _person(self) -> str:
        if self._random.random() < 0.995:
            return f"regular-{self._random.randrange(_REGULARS)}@example.org"
        return f"occasional-{next(self._turns)}@example.org"

    def _message(self) -> tuple[str, InboundMessage]:
        person, type_ = self._person(), self._random.choice(_TYPES)
        entity: dict[str, Any] = {
            "_id": uuid4().hex,
            "timestamp": datetime.now(UTC).isoformat(),
            "eventType": type_,
            "identityMap": {NAMESPACE: [{"id": person, "primary": True}]},
        }
        if type_ == "commerce.purchases":
            entity["commerce"] = {"order": {"priceTotal": self._random.randrange(100, 10_000) / 100}}
        return person, InboundMessage(InboundHeader(self.dataset), InboundBody(entity))
