"""Dead letters read back, and sent again.

A replay is written down in the dead-letter topic itself, in the letter's partition: an intent before, a receipt after
the source topic has confirmed. A replay that was killed between leaves an intent without receipt; the next one looks
for its letters in the source topic, from where that ended at the intent, and sends only what is not there. So one
operator at a time sends each letter once; two at once may send a letter twice, with the same ids inside.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_log import ConsumerRecord, LogReader
from shared.contracts.headers import Headers
from shared.contracts.topics import Topic

REPLAYS = "freshet-replays"
"""Header: how often a record has been sent again. It stays when the record is refused once more."""
REPLAY_OF = "freshet-replay-of"
"""Header: `topic/partition/offset` of the dead letter that a record was made from."""

_LEDGER = "freshet-dlq-ledger"
_WRITTEN_BY_DLQ = ("kafka_dlt-", "freshet-dlq-")
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. Times are Kafka's, in milliseconds; `headers` are those of the refused record."""

    partition: int
    offset: int
    at_ms: int
    reason: str
    stage: str
    message: str
    source_partition: int
    source_offset: int
    source_at_ms: int
    replays: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(slots=True)
class Ledger:
    """What has been sent again of one partition. `intents`: offset → where the source's partitions ended before."""

    replayed: set[int] = field(default_factory=set)
    intents: dict[int, dict[int, int]] = field(default_factory=dict)

    def open(self) -> list[dict[int, int]]:
        return [ends for offset, ends in self.intents.items() if offset not in self.replayed]


class _Note(msgspec.Struct):
    kind: str
    offsets: list[int]
    source_ends: dict[int, int] = {}


def letter_of(record: ConsumerRecord) -> Letter | None:
    """Reads a record of a dead-letter topic; None for a note of the ledger. Foreign letters have reason `unknown`."""
    found = dict(record.headers)
    if _LEDGER in found:
        return None

    def text(name: str, default: str = "") -> str:
        raw: bytes = found.get(name, default.encode())
        return raw.decode("utf-8", "replace")

    def number(name: str, default: int) -> int:
        return int.from_bytes(found[name], "big") if name in found else default

    return Letter(
        record.partition,
        record.offset,
        record.timestamp,
        text("freshet-dlq-reason", "unknown"),
        text("freshet-dlq-stage", "unknown"),
        text("freshet-dlq-message") or text("kafka_dlt-exception-message"),
        number("kafka_dlt-original-partition", record.partition),
        number("kafka_dlt-original-offset", -1),
        number("kafka_dlt-original-timestamp", record.timestamp),
        int(text(REPLAYS, "0")),
        record.key,
        record.value,
        tuple((name, value) for name, value in record.headers if not name.startswith(_WRITTEN_BY_DLQ)),
    )


class DeadLetters:
    """The dead letters of one topic."""

    def __init__(self, log: LogReader, topic: Topic, prefix: str) -> None:
        self._log = log
        self._topic = topic
        self._source = prefix + topic.name
        self.name = prefix + topic.dlq_name

    async def read(self, ledgers: dict[int, Ledger]) -> AsyncGenerator[Letter, None]:
        """Yields all letters in order of partition and offset, and fills `ledgers` on the way."""
        for extent in await self._log.extents(self.name, range(self._topic.partitions)):
            ledger = ledgers.setdefault(extent.partition, Ledger())
            async with aclosing(self._log.read(self.name, extent)) as batches:
                async for record in (record async for records in batches for record in records):
                    letter = letter_of(record)
                    if letter is None:
                        _enter(ledger, record)
                    else:
                        yield letter

    async def find(self, partition: int, offset: int) -> Letter | None:
        """Returns one letter."""
        (whole,) = await self._log.extents(self.name, (partition,))
        if not whole.start <= offset < whole.end:
            return None
        async with aclosing(self._log.read(self.name, whole._replace(start=offset, end=offset + 1))) as batches:
            async for records in batches:
                return letter_of(records[0])
        return None

    async def sent_already(self, ledgers: Mapping[int, Ledger]) -> set[str]:
        """Looks for the letters of open intents in the source topic; returns their places."""
        intents = [ends for ledger in ledgers.values() for ends in ledger.open()]
        if not intents:
            return set()
        found: set[str] = set()
        head = f"{self.name}/".encode()
        for whole in await self._log.extents(self._source, range(self._topic.partitions)):
            extent = whole._replace(start=max(whole.start, min(ends.get(whole.partition, 0) for ends in intents)))
            async with aclosing(self._log.read(self._source, extent)) as batches:
                async for record in (record async for records in batches for record in records):
                    origin = next((value for name, value in record.headers if name == REPLAY_OF), b"")
                    if origin.startswith(head):
                        found.add(origin[len(head) :].decode().replace("/", ":"))
        return found

    async def replay(
        self, chosen: Callable[[Letter], bool], producer: Producer, told: Callable[[int], None] = lambda _: None
    ) -> int:
        """Sends the chosen letters to the source topic, each once; returns how many were sent now.

        `producer` adds no prefix. Raises what the producer raises; what was confirmed before is written down.
        """
        wanted, repaired = await self._waiting(chosen)
        await self._note(producer, "replayed", repaired)
        sent = 0
        chunk: list[Letter] = []
        async with aclosing(self.read({})) as letters:
            async for letter in letters:
                if letter.place in wanted:
                    chunk.append(letter)
                if len(chunk) >= _CHUNK:
                    sent += await self._send(producer, chunk)
                    told(sent)
                    chunk = []
        return sent + (await self._send(producer, chunk) if chunk else 0)

    async def waiting(self, chosen: Callable[[Letter], bool]) -> int:
        """Returns how many of the chosen letters `replay` would send."""
        return len((await self._waiting(chosen))[0])

    async def _waiting(self, chosen: Callable[[Letter], bool]) -> tuple[set[str], set[str]]:
        """Returns the places still to be sent, and those sent by a replay that was killed before its receipt."""
        ledgers: dict[int, Ledger] = {}
        async with aclosing(self.read(ledgers)) as letters:
            wanted = {letter.place async for letter in letters if chosen(letter)}
        done = {f"{partition}:{offset}" for partition, ledger in ledgers.items() for offset in ledger.replayed}
        repaired = await self.sent_already(ledgers) - done
        return wanted - done - repaired, repaired

    async def _send(self, producer: Producer, letters: Collection[Letter]) -> int:
        places = {letter.place for letter in letters}
        ends = {e.partition: e.end for e in await self._log.extents(self._source, range(self._topic.partitions))}
        await self._note(producer, "intent", places, ends)
        await _confirmed(producer, [self._message(letter) for letter in letters])
        await self._note(producer, "replayed", places)
        return len(letters)

    def _message(self, letter: Letter) -> Message:
        kept = tuple(header for header in letter.headers if header[0] not in (REPLAYS, REPLAY_OF))
        origin = f"{self.name}/{letter.partition}/{letter.offset}"
        marks = ((REPLAYS, str(letter.replays + 1).encode()), (REPLAY_OF, origin.encode()))
        headers: Headers = kept + marks
        return Message(self._source, letter.source_partition, letter.key, letter.value, headers, letter.source_at_ms)

    async def _note(
        self, producer: Producer, kind: str, places: Collection[str], source_ends: Mapping[int, int] | None = None
    ) -> None:
        by_partition: defaultdict[int, list[int]] = defaultdict(list)
        for place in places:
            partition, _, offset = place.partition(":")
            by_partition[int(partition)].append(int(offset))
        ends = dict(source_ends or {})
        notes = [
            Message(self.name, p, None, msgspec.json.encode(_Note(kind, sorted(offsets), ends)), ((_LEDGER, b"1"),))
            for p, offsets in by_partition.items()
        ]
        await _confirmed(producer, notes)


def _enter(ledger: Ledger, record: ConsumerRecord) -> None:
    note = msgspec.json.decode(record.value or b"", type=_Note)
    if note.kind == "replayed":
        ledger.replayed.update(note.offsets)
    else:
        ledger.intents.update(dict.fromkeys(note.offsets, note.source_ends))


async def _confirmed(producer: Producer, messages: list[Message]) -> None:
    acknowledgements: Any = await producer.submit(messages)
    for acknowledgement in acknowledgements:
        await acknowledgement
