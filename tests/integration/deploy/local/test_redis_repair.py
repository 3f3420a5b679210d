"""A transaction torn by a power loss, with the real Redis server."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local import probes
from deploy.local.redis_server import find_server
from deploy.local.settings import CHECKOUT
from tests.integration.deploy.local.waiting import wait_until
from tests.support.platform import free_ports

pytestmark = pytest.mark.platform

_APPLY = "redis.call('HINCRBY', KEYS[1], 'n', 1) redis.call('HSET', KEYS[1], 'offset', ARGV[1])"


@contextlib.contextmanager
def _redis(folder: Path, log: Path) -> Iterator[redis.Redis]:
    """Runs the server on `folder` for the block and kills it at its end, as a power loss would."""
    (port,) = free_ports(1)
    server = find_server()
    command = [sys.executable, "-m", "deploy.local.redis_server", "--server", str(server.path)]
    command += ["--version", str(server.version), "--folder", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as output, subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output) as process:
        try:
            wait_until(lambda: probes.answers(f"redis://127.0.0.1:{port}") is None, "Redis answers")
            with redis.Redis(port=port, decode_responses=True) as client:
                assert process.pid == client.info("server")["process_id"], "another server has taken the port"
                yield client
        finally:
            process.kill()


def _append_only_file(folder: Path) -> Path:
    return next(iter([*folder.glob("appendonlydir/*.incr.aof"), *folder.glob("appendonly.aof")]))


def test_a_torn_transaction_is_not_executed_by_a_later_start(tmp_path: Path) -> None:
    folder, log = tmp_path / "redis", tmp_path / "redis.log"
    folder.mkdir()
    with _redis(folder, log) as client:
        for offset in (1, 2, 3):
            client.eval(_APPLY, 1, "profile", offset)
    file = _append_only_file(folder)
    # Cuts the last EXEC and a part of the HSET before it.
    os.truncate(file, file.stat().st_size - 20)

    with _redis(folder, log) as client:
        assert client.hgetall("profile") == {"n": "2", "offset": "2"}
        client.eval(_APPLY, 1, "profile", 3)
    with _redis(folder, log) as client:
        after = client.hgetall("profile")

    assert after == {"n": "3", "offset": "3"}
    assert "redis: cut an unfinished tail of" in log.read_text()
