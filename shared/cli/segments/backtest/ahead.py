"""Reading in a process of its own: while one core takes events to the engine, another unpacks the next ones."""

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import msgspec

from shared.cli.segments.backtest.events import Happening
from shared.cli.segments.errors import WrongInput

_BATCH = 1_000
_PATIENCE_S = 5.0
_EVENTS, _ERROR, _END = b"+", b"!", b"."


def read_ahead(read: Callable[..., Iterator[Happening]], *arguments: Any) -> Generator[Happening, None, None]:
    """Yield what `read(*arguments)` yields, read ahead by as much as fits into a pipe. Raises its WrongInput."""
    # Forking is quick, and no thread of Arrow is running yet that a fork could lose.
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(receiver, sender, read, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        yield from _received(receiver)
    finally:
        receiver.close()
        process.terminate()
        process.join(_PATIENCE_S)


def _received(receiver: Connection) -> Iterator[Happening]:
    decode = msgspec.msgpack.Decoder(list[Happening]).decode
    while True:
        try:
            message = receiver.recv_bytes()
        except EOFError:
            raise WrongInput("reading the events ended half way: the process that read them was stopped") from None
        if message[:1] == _END:
            return
        if message[:1] == _ERROR:
            raise WrongInput(message[1:].decode())
        yield from decode(memoryview(message)[1:])


def _send(receiver: Connection, sender: Connection, read: Callable[..., Iterator[Happening]], arguments: Any) -> None:
    receiver.close()
    # Ctrl-C reaches both processes; the other one decides, and its SIGTERM lets temporary files be removed here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    encode = msgspec.msgpack.encode
    try:
        happenings = read(*arguments)
        while batch := list(islice(happenings, _BATCH)):
            sender.send_bytes(_EVENTS + encode(batch))
        sender.send_bytes(_END)
    except WrongInput as error:
        sender.send_bytes(_ERROR + str(error).encode())
    except (BrokenPipeError, SystemExit):
        pass  # nobody wants more


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit
