"""What is sent: a few thousand people over thirty days, decided by a seed alone.

People come in visits of some twenty events, as in real logs; every twentieth message is anybody's. Among it: events
that come late, by up to twelve days, or early; messages sent twice; attributes sent again after newer ones; many at one
instant; a few people with thousands of events; and one poisoned record in a thousand, of five kinds.
"""

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from shared.contracts.inbound import InboundBody, InboundHeader, InboundMessage
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, INBOUND, PROFILE_UPDATES, Topic
from shared.kernel.clock import format_instant, parse_instant
from shared.kernel.ids import profile_id
from tests.chaos.segments import BUY, CART, DAY, MAIL, PAGE, TYPES, VIEW

START = parse_instant("2026-03-02T00:00:00Z")
TENANT, NAMESPACE = "default", "Email"
LENGTH_US = 30 * DAY
END = START + LENGTH_US + 60 * DAY
"""Where the last tick moves the log's time: by then every window has closed."""

_POISON_SHARE, _DUPLICATE_SHARE, _RECORD_SHARE, _LATE_SHARE, _EARLY_SHARE = 0.001, 0.02, 0.03, 0.05, 0.002
_EQUAL_TIME_SHARE, _HEAVY_SHARE, _OLD_RECORD_SHARE = 0.1, 0.05, 0.002
_EVENTS_PER_HEAVY = 40_000
_VISIT_SHARE, _VISIT_EVENTS = 0.95, 20
_VISITORS_MIN, _EVENTS_PER_VISITOR = 16, 25_000
_WEIGHTS = (60, 22, 8, 6, 4)
_TIERS = ("bronze", "silver", "gold")
_DEVICES = ("phone", "desktop")
_RECENT = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """One record to produce. `id` is empty for poison; `received_at` is the log time (µs) of what is well-formed."""

    topic: Topic
    partition: int
    key: bytes
    value: bytes
    id: str
    received_at: int

    @property
    def is_poison(self) -> bool:
        return not self.id


@dataclass(frozen=True, slots=True)
class Datasets:
    """Ids that ingestion has given."""

    events: str
    profiles: str


@dataclass
class Workload:
    """`count` messages for `people` persons. Reading twice gives the same messages."""

    seed: int
    count: int
    people: int
    datasets: Datasets

    def read(self) -> Iterator[Sent]:
        random = Random(self.seed)
        names = [f"person-{self.seed}-{number}@example.org" for number in range(self.people)]
        ids = [profile_id(TENANT, NAMESPACE, name) for name in names]
        heavy = max(2, self.count // _EVENTS_PER_HEAVY)
        step_ms = 2 * LENGTH_US // 1000 // max(1, self.count)
        recent: deque[Sent] = deque(maxlen=_RECENT)
        records: dict[int, Sent] = {}
        old: list[Sent] = []
        visitors = [random.randrange(self.people) for _ in range(max(_VISITORS_MIN, self.count // _EVENTS_PER_VISITOR))]
        now_ms = START // 1000
        for number in range(self.count):
            is_equal = random.random() < _EQUAL_TIME_SHARE
            now_ms += 0 if is_equal else random.randrange(1, max(2, step_ms))
            what = random.random()
            if what < _POISON_SHARE:
                yield self._poison(random, number, random.choice(ids))
                continue
            what -= _POISON_SHARE
            if what < _DUPLICATE_SHARE and recent:
                again = random.choice(recent)
                yield Sent(again.topic, again.partition, again.key, again.value, again.id, now_ms * 1000)
                continue
            what -= _DUPLICATE_SHARE
            if what < _OLD_RECORD_SHARE and old:
                again = old.pop(random.randrange(len(old)))
                yield Sent(again.topic, again.partition, again.key, again.value, again.id, now_ms * 1000)
                continue
            what -= _OLD_RECORD_SHARE
            who = random.randrange(heavy) if random.random() < _HEAVY_SHARE else self._whoever(random, visitors)
            is_record = what < _RECORD_SHARE and not is_equal
            entity = _record(random) if is_record else _event(random, now_ms)
            # No record may share its instant with the next one of the same person: between equals a digest decides.
            now_ms += is_record
            sent = self._message(entity, number, names[who], ids[who], is_record, now_ms * 1000)
            recent.append(sent)
            if is_record:
                # Not of the busiest: a repeat counts once among the newest 1,024 facts of a person, as documented.
                old += [records[who]] if who in records and who >= heavy else []
                records[who] = sent
            yield sent

    def _whoever(self, random: Random, visitors: list[int]) -> int:
        """Mostly one of those who are visiting just now; a visit that ends makes room for somebody else's."""
        if random.random() >= _VISIT_SHARE:
            return random.randrange(self.people)
        place = random.randrange(len(visitors))
        who = visitors[place]
        if random.random() < 1 / _VISIT_EVENTS:
            visitors[place] = random.randrange(self.people)
        return who

    def _message(self, entity: dict[str, Any], number: int, name: str, key: str, is_record: bool, at: int) -> Sent:
        entity |= {"_id": f"m{number}", "identityMap": {NAMESPACE: [{"id": name, "primary": True}]}}
        dataset = self.datasets.profiles if is_record else self.datasets.events
        value = msgspec.json.encode(InboundMessage(InboundHeader(dataset), InboundBody(entity)))
        return Sent(INBOUND, partition_of(key, INBOUND.partitions), key.encode(), value, f"m{number}", at)

    def _poison(self, random: Random, number: int, key: str) -> Sent:
        """A record that some stage must refuse: broken text, a broken rule, an unknown dataset; or one that only a
        broken producer could have put on an inner topic."""
        kind = random.randrange(5)
        entity = {"_id": f"poison{number}", "identityMap": {NAMESPACE: [{"id": "nobody", "primary": True}]}}
        dataset = "no-such-dataset" if kind == 2 else self.datasets.events
        invalid = msgspec.json.encode(InboundMessage(InboundHeader(dataset), InboundBody(entity)))
        value = invalid if kind in (1, 2) else b'{"poison": ' + struct.pack(">q", number)
        topic = EVENTS if kind == 3 else PROFILE_UPDATES if kind == 4 else INBOUND
        return Sent(topic, partition_of(key, INBOUND.partitions), key.encode(), value, "", 0)


def _record(random: Random) -> dict[str, Any]:
    return {"loyalty": {"tier": random.choice(_TIERS)}}


def _event(random: Random, now_ms: int) -> dict[str, Any]:
    occurred_at = now_ms * 1000
    shift = random.random()
    if shift < _LATE_SHARE:
        occurred_at -= random.randrange(1, 12 * DAY // 1000) * 1000
    elif shift < _LATE_SHARE + _EARLY_SHARE:
        # Half a millisecond beside the grid of log times, so that it never begins to count at another fact's instant.
        occurred_at += random.randrange(1, DAY // 1000) * 1000 + 500
    (type_,) = random.choices(TYPES, _WEIGHTS)
    entity: dict[str, Any] = {
        "timestamp": format_instant(occurred_at),
        "eventType": type_,
        "device": {"type": _DEVICES[random.random() < 0.1]},
    }
    if type_ == BUY:
        entity["commerce"] = {"order": {"priceTotal": random.randrange(4, 400) / 4}}
    return entity


assert {PAGE, VIEW, CART, BUY, MAIL} == set(TYPES)
