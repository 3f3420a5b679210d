"""What the commands of `freshet dlq` do."""

import argparse
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from shared.adapters.kafka import Producer
from shared.adapters.kafka_log import delete_before, open_log
from shared.cli.dlq.choice import Choice, place_of
from shared.cli.segments.errors import WrongInput, counted
from shared.cli.state.connection import Connection, Progress, may_delete, run
from shared.contracts.topics import TOPICS
from shared.kernel.clock import format_instant
from shared.kernel.errors import Rejected, Retryable
from shared.runtime.admin.letters import DeadLetters, Ledger, Letter


def run_command(name: str, options: argparse.Namespace) -> int:
    """Runs one command of `freshet dlq`."""
    return run(_opened(_COMMANDS[name], options))


async def _opened(command: "_Command", options: argparse.Namespace) -> int:
    connection = Connection.of(options)
    _check(options)
    topic = next(topic for topic in TOPICS if topic.name == options.topic)
    try:
        async with open_log(connection.kafka_access, "freshet-dlq") as log:
            return await command(options, connection, DeadLetters(log, topic, connection.topic_prefix))
    except Retryable as error:
        raise await connection.explain(error) from error


def _check(options: argparse.Namespace) -> None:
    """Raises WrongInput before anything is connected to."""
    if hasattr(options, "reason"):
        Choice.of(options)
    for place in [options.place] if hasattr(options, "place") else getattr(options, "up_to", ()):
        place_of(place)
    for name in ("limit", "replays_max"):
        if getattr(options, name, 1) < 1:
            raise WrongInput(f"--{name.replace('_', '-')} is {getattr(options, name)}; it must be 1 or more")


async def _list(options: argparse.Namespace, _: Connection, letters: DeadLetters) -> int:
    choice, ledgers = Choice.of(options), dict[int, Ledger]()
    groups: dict[tuple[str, str], list[int]] = {}
    each: list[Letter] = []
    async with aclosing(letters.read(ledgers)) as found:
        async for letter in found:
            if not choice.takes(letter):
                continue
            if options.each and len(each) < options.limit:
                each.append(letter)
            group = groups.setdefault((letter.reason, letter.stage), [0, letter.at_ms, letter.at_ms])
            group[:] = [group[0] + 1, min(group[1], letter.at_ms), max(group[2], letter.at_ms)]
    replayed = sum(len(ledger.replayed) for ledger in ledgers.values())
    if options.format == "json":
        print(json.dumps(_listed(letters, groups, each, ledgers, options.each), indent=2))
        return 0
    if options.each:
        for letter in each:
            again = "  sent again" if letter.offset in ledgers[letter.partition].replayed else ""
            print(f"{letter.place:>12}  {_time(letter.at_ms)}  {letter.reason:<16} {letter.message}{again}")
    else:
        print(f"{'reason':<16} {'stage':<16} {'letters':>9}  {'first':<20}  {'last':<20}")
        for (reason, stage), (count, first, last) in sorted(groups.items()):
            print(f"{reason:<16} {stage:<16} {count:>9,}  {_time(first):<20}  {_time(last):<20}")
    total = sum(group[0] for group in groups.values())
    print(f"{counted(total, 'letter')} in {letters.name}; {replayed:,} sent again so far")
    return 0


def _listed(
    letters: DeadLetters,
    groups: dict[tuple[str, str], list[int]],
    each: list[Letter],
    ledgers: dict[int, Ledger],
    wanted_each: bool,
) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "topic": letters.name,
        "groups": [
            {"reason": reason, "stage": stage, "count": count, "first": _time(first), "last": _time(last)}
            for (reason, stage), (count, first, last) in sorted(groups.items())
        ],
        "replayed": sum(len(ledger.replayed) for ledger in ledgers.values()),
    }
    if wanted_each:
        listed["letters"] = [
            _shown(letter) | {"sent_again": letter.offset in ledgers[letter.partition].replayed} for letter in each
        ]
    return listed


async def _show(options: argparse.Namespace, _: Connection, letters: DeadLetters) -> int:
    partition, offset = place_of(options.place)
    letter = await letters.find(partition, offset)
    if letter is None:
        raise Rejected(f"{letters.name} has no letter at {options.place}; `freshet dlq list --each` prints the places")
    shown = _shown(letter)
    if options.format == "json":
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    value = shown.pop("value", None) or shown.pop("value_base64", None)
    for name, content in shown.items():
        if name == "headers":
            for header in content:
                print(f"{'header':<14} {header[0]} = {header[1]}")
        else:
            print(f"{name:<14} {content}")
    print(f"{'bytes':<14} {len(letter.value or b''):,}\n{value}")
    return 0


async def _replay(options: argparse.Namespace, connection: Connection, letters: DeadLetters) -> int:
    choice = Choice.of(options)
    if choice.takes_all and not options.all:
        raise WrongInput("choose letters by --reason, --refused-by or --offsets, or say --all")
    worn_out = 0

    def chosen(letter: Letter) -> bool:
        nonlocal worn_out
        if not choice.takes(letter):
            return False
        worn_out += letter.replays >= options.replays_max
        return letter.replays < int(options.replays_max)

    progress = Progress("replay", quiet=options.quiet)
    producer = Producer(connection.kafka_access, client_id="freshet-dlq")
    if options.dry_run:
        count = await letters.waiting(chosen)
        print(f"{counted(count, 'letter')} of {letters.name} would be sent again")
    else:
        await producer.start()
        try:
            count = await letters.replay(chosen, producer, lambda done: progress.tell(done, unit="letters"))
        finally:
            await producer.stop()
        progress.close()
        print(f"{counted(count, 'letter')} of {letters.name} sent again to {options.topic}")
    if worn_out:
        print(f"{counted(worn_out, 'letter')} left: came back {options.replays_max} times or more (--replays-max)")
    return 0


async def _purge(options: argparse.Namespace, connection: Connection, letters: DeadLetters) -> int:
    ends = {partition: offset + 1 for partition, offset in map(place_of, options.up_to)}
    gone = 0
    async with aclosing(letters.read({})) as found:
        async for letter in found:
            gone += letter.offset < ends.get(letter.partition, 0)
    question = f"Delete {counted(gone, 'letter')} of {letters.name} for good?"
    if not options.yes and not await may_delete(question):
        return 1
    await delete_before(connection.kafka_access, letters.name, ends)
    print(f"{counted(gone, 'letter')} of {letters.name} deleted")
    return 0


def _shown(letter: Letter) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "place": letter.place,
        "refused_at": _time(letter.at_ms),
        "reason": letter.reason,
        "stage": letter.stage,
        "message": letter.message,
        "source": f"{letter.source_partition}:{letter.source_offset}",
        "source_at": _time(letter.source_at_ms),
        "replays": letter.replays,
        "key": None if letter.key is None else letter.key.decode("utf-8", "replace"),
        "headers": [[name, value.decode("utf-8", "replace")] for name, value in letter.headers],
    }
    if letter.value is None:
        return shown | {"value": None}
    try:
        return shown | {"value": letter.value.decode()}
    except UnicodeDecodeError:
        return shown | {"value_base64": base64.b64encode(letter.value).decode()}


def _time(at_ms: int) -> str:
    return format_instant(at_ms // 1000 * 1_000_000)


_Command = Callable[[argparse.Namespace, Connection, DeadLetters], Awaitable[int]]
_COMMANDS: dict[str, _Command] = {"list": _list, "show": _show, "replay": _replay, "purge": _purge}
