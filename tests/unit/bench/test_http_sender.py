"""The HTTP load generator says truly what was sent, answered and confirmed."""

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import msgspec

from tests.bench.runtime.http_sender import Answers, Job

_ROOT = Path(__file__).parents[3]
_TAKEN = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"xactionId": 1}'
_REFUSED = b"HTTP/1.1 503 Not now\r\ncontent-length: 15\r\nretry-after: 2\r\n\r\n" + b'"xactionId" not'


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a request whose body is `yes`, refuses others; the answer comes in two parts."""
    with contextlib.suppress(asyncio.IncompleteReadError):  # the sender has gone
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answer = _TAKEN if await reader.readexactly(length) == b"yes" else _REFUSED
            writer.write(answer[:30])
            await asyncio.sleep(0.001)
            writer.write(answer[30:])
    writer.close()


async def test_each_request_is_sent_once_and_its_answer_is_counted(tmp_path: Path) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "bodies").write_bytes(msgspec.msgpack.encode([b"yes", b"no"] * 50))
    job = Job("127.0.0.1", port, "/x", str(tmp_path / "bodies"), 1_000.0, 4, str(tmp_path / "answers"))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.runtime.http_sender", json.dumps(asdict(job))),
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(b"go\n")
    server.close()

    answers = msgspec.msgpack.decode((tmp_path / "answers").read_bytes(), type=Answers)
    assert (b"ready\n", {200: 50, 503: 50}, 50) == (said, answers.statuses, answers.taken)
    times = list(zip(answers.sent_us, answers.answered_us, strict=True))
    assert times == [(sent, answered) for sent, answered in times if 0 < sent < answered]
