"""Dead letters listed, shown, sent again once, and deleted, through `freshet dlq`."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest

from deploy.local import topics as kafka_topics
from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_log import ConsumerRecord, open_log, read_log
from shared.cli.__main__ import main
from shared.contracts.topics import EVENTS, physical_topics
from shared.kernel.errors import Reason, Rejected
from shared.runtime.admin.letters import REPLAY_OF, REPLAYS, DeadLetters
from shared.runtime.dlq import dead_letter
from tests.support.platform import EmbeddedPlatform

pytestmark = pytest.mark.platform


@dataclass
class World:
    servers: str
    prefix: str
    producer: Producer

    async def dlq(self, command: str, *arguments: str) -> int:
        """Runs `freshet dlq` as an operator would."""
        where = ["--topic", "events", "--kafka", self.servers, "--prefix", self.prefix]
        return await asyncio.to_thread(main, ["dlq", command, *where, *arguments])

    async def send(self, messages: Sequence[Message]) -> None:
        for done in await self.producer.submit(messages):
            await done

    async def records(self) -> list[ConsumerRecord]:
        async with open_log(self.servers) as log:
            extents = await log.extents(f"{self.prefix}events", range(8))
        batches = [records async for records in read_log(self.servers, f"{self.prefix}events", extents)]
        return [record for records in batches for record in records]

    async def refuse(self, records: Sequence[ConsumerRecord], reason: Reason) -> None:
        """Writes the dead letters that a stage would."""
        error = Rejected(f"refused for {reason}", reason)
        letters = [dead_letter(record, error, "segmentation", f"{self.prefix}events-dlq", "g") for record in records]
        await self.send(letters)


@pytest.fixture
async def world(platform: EmbeddedPlatform) -> AsyncIterator[World]:
    """Six records of two partitions, all refused: three for their schema, three because the step failed."""
    prefix = f"{uuid4().hex[:8]}-"
    names = {name: topic for name, topic in physical_topics(prefix).items() if topic is EVENTS}
    await kafka_topics.create(platform.kafka_bootstrap_servers, names)
    producer = Producer(platform.kafka_bootstrap_servers)
    await producer.start()
    world = World(platform.kafka_bootstrap_servers, prefix, producer)
    headers = (("traceparent", b"00-abc"),)
    sent = [Message(f"{prefix}events", n % 2, f"k{n}".encode(), b"\xff%d" % n, headers, 1_000 + n) for n in range(6)]
    await world.send(sent)
    records = await world.records()
    await world.refuse(records[:3], Reason.SCHEMA)
    await world.refuse(records[3:], Reason.STEP_ERROR)
    yield world
    await producer.stop()


async def test_letters_are_counted_by_reason_and_shown_with_their_bytes(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = await world.dlq("list", "--format", "json"), json.loads(capsys.readouterr().out)
    shown = await world.dlq("show", "1:0", "--format", "json"), json.loads(capsys.readouterr().out)
    missing = await world.dlq("show", "1:99"), capsys.readouterr().err
    table = await world.dlq("list", "--reason", "schema"), capsys.readouterr().out

    assert 0 == listed[0]
    assert [("schema", 3), ("step_error", 3)] == [(g["reason"], g["count"]) for g in listed[1]["groups"]]
    assert 0 == shown[0]
    assert ("step_error", "k1", "1:0") == (shown[1]["reason"], shown[1]["key"], shown[1]["source"])
    assert "/zE=" == shown[1]["value_base64"]
    assert [["traceparent", "00-abc"]] == shown[1]["headers"]
    assert 1 == missing[0]
    assert "list --each` prints the places" in missing[1]
    assert 0 == table[0]
    assert "step_error" not in table[1]
    assert "3 letters in" in table[1]


async def test_a_replay_keeps_the_record_and_sends_each_letter_once(world: World) -> None:
    tried = await world.dlq("replay", "--reason", "schema", "--dry-run"), len(await world.records())
    sent = [await world.dlq("replay", "--reason", "schema", "--quiet") for _ in range(2)]
    again = [record for record in await world.records() if REPLAYS in dict(record.headers)]
    refused = await world.dlq("replay")

    assert (0, 6) == tried
    assert [0, 0] == sent
    assert 2 == refused, "a choice is needed"
    assert [(0, b"k0", b"\xff0"), (0, b"k2", b"\xff2"), (0, b"k4", b"\xff4")] == [
        (record.partition, record.key, record.value) for record in again
    ]
    assert {1_000, 1_002, 1_004} == {record.timestamp for record in again}
    assert {(b"00-abc", b"1")} == {
        (dict(record.headers)["traceparent"], dict(record.headers)[REPLAYS]) for record in again
    }


async def test_a_replay_killed_before_its_receipt_is_not_repeated(world: World) -> None:
    """The source topic has confirmed, the receipt is not written: the next replay finds the records there."""

    class Killed(Producer):
        async def submit(self, messages: Sequence[Message]) -> Sequence[asyncio.Future[object]]:
            if any(b'"replayed"' in (message.value or b"") for message in messages):
                raise ConnectionResetError("killed")
            return await super().submit(messages)  # type: ignore[return-value]

    killed = Killed(world.servers)
    await killed.start()
    async with open_log(world.servers) as log:
        letters = DeadLetters(log, EVENTS, world.prefix)
        with pytest.raises(ConnectionResetError):
            await letters.replay(lambda letter: letter.reason == "schema", killed)
    await killed.stop()
    before = len(await world.records())
    code = await world.dlq("replay", "--all", "--quiet")
    records = await world.records()
    origins = [dict(record.headers)[REPLAY_OF] for record in records if REPLAY_OF in dict(record.headers)]

    assert 9 == before
    assert 0 == code
    assert 12 == len(records)
    assert 6 == len(set(origins)) == len(origins)


async def test_a_letter_that_keeps_coming_back_is_left_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        await world.dlq("replay", "--all", "--replays-max", "2", "--quiet")
        again = [r for r in await world.records() if dict(r.headers).get(REPLAYS) == str(number).encode()]
        await world.refuse(again[-1:], Reason.SCHEMA)
    capsys.readouterr()
    code = await world.dlq("replay", "--all", "--replays-max", "2", "--quiet")

    assert 0 == code
    assert "1 letter left: came back 2 times or more" in capsys.readouterr().out


async def test_a_purge_deletes_up_to_an_offset_and_only_when_told_twice(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    unsure = await world.dlq("purge", "--up-to", "0:1")
    sure = await world.dlq("purge", "--up-to", "0:1", "--yes")
    capsys.readouterr()
    await world.dlq("list", "--format", "json")
    left = json.loads(capsys.readouterr().out)

    assert [2, 0] == [unsure, sure]
    assert 4 == sum(group["count"] for group in left["groups"])
