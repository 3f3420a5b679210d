from pathlib import Path

import pytest

from deploy.local.errors import PlatformError
from deploy.local.redis_server import RedisServer, configuration, find_server, repair

_WHOLE = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
_TORN = b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n2\r\n"


def test_redis_keeps_a_log_never_evicts_and_listens_on_loopback() -> None:
    options = configuration("127.0.0.1", 5003, Path("/srv/redis"), memory_mb=0)

    pairs = dict(zip(options[::2], options[1::2], strict=True))
    assert pairs["--appendonly"] == "yes"
    assert pairs["--appendfsync"] == "everysec"
    assert pairs["--maxmemory-policy"] == "noeviction"
    assert pairs["--bind"] == "127.0.0.1"


def test_an_unfinished_transaction_is_cut_off_the_log(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(_WHOLE + _TORN)

    done = repair(find_server(), tmp_path)

    assert (tmp_path / "appendonly.aof").read_bytes() == _WHOLE
    assert done == f"cut an unfinished tail of {len(_TORN)} bytes off {tmp_path / 'appendonly.aof'}"


def test_a_whole_log_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(_WHOLE)

    assert repair(find_server(), tmp_path) is None
    assert (tmp_path / "appendonly.aof").read_bytes() == _WHOLE


def test_a_first_start_has_nothing_to_repair(tmp_path: Path) -> None:
    assert repair(find_server(), tmp_path) is None


def test_a_server_that_would_ignore_the_log_of_a_newer_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")

    with pytest.raises(PlatformError, match="is version 6, which would ignore it and start empty"):
        repair(RedisServer(find_server().path, 6), tmp_path)
