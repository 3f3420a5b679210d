"""The inbox of a partition: bounded by rows and bytes, emptied in large pieces."""

import asyncio
from collections.abc import Sequence

from aiokafka import ConsumerRecord

from shared.runtime.inbox import Inbox

UNLIMITED = 1 << 60


def records(first: int, count: int, size: int = 10) -> Sequence[ConsumerRecord]:
    return [ConsumerRecord("events", 0, first + i, 0, 0, b"k", b"v" * size, None, 1, size, ()) for i in range(count)]


def offsets(taken: Sequence[ConsumerRecord]) -> list[int]:
    return [record.offset for record in taken]


async def test_all_that_waits_is_taken_at_once_in_order() -> None:
    inbox = Inbox(100, UNLIMITED)
    for first in (0, 2, 4):
        await inbox.put(records(first, 2))

    taken = await inbox.take(100, UNLIMITED, None)

    assert [0, 1, 2, 3, 4, 5] == offsets(taken)
    assert (0, 0) == (inbox.rows, inbox.bytes)


async def test_a_batch_ends_at_its_limit_of_rows_or_bytes() -> None:
    inbox = Inbox(100, UNLIMITED)
    for first in (0, 2, 4):
        await inbox.put(records(first, 2, size=1_000))

    by_rows = await inbox.take(3, UNLIMITED, None)
    by_bytes = await inbox.take(100, 2_000, None)

    assert [0, 1, 2, 3] == offsets(by_rows)
    assert [4, 5] == offsets(by_bytes)


async def test_it_is_full_by_rows_and_by_bytes_and_has_room_again_when_half_is_free() -> None:
    by_rows, by_bytes = Inbox(4, UNLIMITED), Inbox(100, 10_000)
    for first, size in ((0, 1_000), (2, 5_000)):
        await by_rows.put(records(first, 2))
        await by_bytes.put(records(first, 2, size))

    full = by_rows.is_full, by_bytes.is_full
    await by_rows.take(1, UNLIMITED, None)
    await by_bytes.take(1, UNLIMITED, None)

    assert (True, True) == full
    assert (False, True) == (by_rows.is_full, by_rows.has_room)
    assert not by_bytes.has_room


async def test_who_puts_into_a_full_inbox_waits_until_something_is_taken() -> None:
    inbox = Inbox(2, UNLIMITED)
    await inbox.put(records(0, 2))

    putting = asyncio.create_task(inbox.put(records(2, 2)))
    await asyncio.sleep(0)
    waited = not putting.done()
    first = await inbox.take(100, UNLIMITED, None)
    await putting

    assert waited
    assert [0, 1] == offsets(first)
    assert 2 == inbox.rows


async def test_closing_lets_go_whoever_waits() -> None:
    inbox = Inbox(2, UNLIMITED)
    await inbox.put(records(0, 2))
    putting = asyncio.create_task(inbox.put(records(2, 2)))
    await asyncio.sleep(0)

    inbox.close()

    await putting


async def test_taking_gives_up_when_its_time_is_over() -> None:
    assert () == await Inbox(2, UNLIMITED).take(100, UNLIMITED, 0.0)
