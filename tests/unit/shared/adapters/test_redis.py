"""Which of Redis' errors pass by themselves."""

import pytest
from redis.exceptions import ConnectionError, RedisError, ResponseError

from shared.adapters.redis import RedisClient, passes

FULL = "MISCONF Errors writing to the AOF file: No space left on device"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Connection closed by server."),
        ResponseError(FULL),
        ResponseError(f"Error running script (call to f_12ab): @user_script:25: @user_script: 25: -{FULL} "),
        ResponseError(f"user_script:25: {FULL} script: 12ab, on @user_script:25."),
        ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
    ],
)
def test_a_full_disk_passes_also_when_a_script_met_it(error: RedisError) -> None:
    assert passes(error)


@pytest.mark.parametrize("words", ["WRONGTYPE Operation against a key", "NOSCRIPT No matching script", "ERR syntax"])
def test_a_mistake_does_not_pass(words: str) -> None:
    assert not passes(ResponseError(words))


async def test_a_write_to_a_transport_that_a_reset_has_closed_is_a_lost_connection() -> None:
    """uvloop raises RuntimeError there; in a chaos run it ended workers that only had to connect again."""

    class Closed:
        def writelines(self, _: object) -> None:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

        def close(self) -> None:
            pass

    connection = RedisClient("redis://127.0.0.1:1").client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    connection._reader, connection._writer = object(), Closed()

    with pytest.raises(ConnectionError, match="handler is closed"):
        await connection.send_packed_command(b"PING", check_health=False)
