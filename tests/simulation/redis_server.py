"""Redis in memory: commands one at a time, real Lua scripts, an append-only log that may be cut anywhere."""

from collections.abc import Callable, Sequence
from typing import Any

from lupa import lua51

Command = tuple[bytes, ...]
Logged = tuple[Command, int]
"""A command and the number of the script or call it was part of: what MULTI and EXEC frame in the real log."""

_WRITES = frozenset(b"SET MSET DEL HSET HDEL HINCRBY SADD SREM ZADD ZREM INCRBY EXPIRE PEXPIRE".split())
_runtime: Any = lua51.LuaRuntime(encoding=None)
_compiled: dict[bytes, Any] = {}
_callers: "list[RedisServer]" = []
"""The server whose script runs. Lua holds no server itself: its references hide from Python's collector."""


class ScriptError(Exception):
    """A script or command that a real Redis would answer with an error."""


def as_bytes(value: Any) -> bytes:
    """Encodes an argument as redis-py does."""
    kind = value.__class__
    if kind is bytes:
        return value  # type: ignore[no-any-return]
    if kind is str:
        return value.encode()  # type: ignore[no-any-return]
    if kind is int:
        return b"%d" % value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if kind is float:
        return repr(value).encode()
    raise TypeError(f"Redis takes no {type(value).__name__} as an argument")


class Keyspace:
    """The data of one server, and each command's meaning."""

    def __init__(self) -> None:
        self.data: dict[bytes, Any] = {}

    def get(self, key: bytes) -> Any:
        return self.data.get(key)

    def mget(self, *keys: bytes) -> list[Any]:
        return [self.data.get(key) for key in keys]

    def set(self, key: bytes, value: bytes, *_: bytes) -> bytes:
        self.data[key] = value
        return b"OK"

    def mset(self, *pairs: bytes) -> bytes:
        self.data.update(zip(pairs[::2], pairs[1::2], strict=True))
        return b"OK"

    def delete(self, *keys: bytes) -> int:
        return sum(self.data.pop(key, None) is not None for key in keys)

    def exists(self, *keys: bytes) -> int:
        return sum(key in self.data for key in keys)

    def incrby(self, key: bytes, by: bytes) -> int:
        value = int(self.data.get(key, b"0")) + int(by)
        self.data[key] = b"%d" % value
        return value

    def expire(self, key: bytes, _: bytes) -> int:
        return int(key in self.data)

    pexpire = expire

    def hget(self, key: bytes, name: bytes) -> Any:
        return self.data.get(key, {}).get(name)

    def hmget(self, key: bytes, *names: bytes) -> list[Any]:
        found = self.data.get(key, {})
        return [found.get(name) for name in names]

    def hgetall(self, key: bytes) -> dict[bytes, bytes]:
        return dict(self.data.get(key, {}))

    def hset(self, key: bytes, *pairs: bytes) -> int:
        found = self.data.setdefault(key, {})
        before = len(found)
        found.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(found) - before

    def hdel(self, key: bytes, *names: bytes) -> int:
        found = self.data.get(key, {})
        return sum(found.pop(name, None) is not None for name in names)

    def hincrby(self, key: bytes, name: bytes, by: bytes) -> int:
        found = self.data.setdefault(key, {})
        found[name] = b"%d" % (int(found.get(name, b"0")) + int(by))
        return int(found[name])

    def sadd(self, key: bytes, *members: bytes) -> int:
        found = self.data.setdefault(key, set())
        before = len(found)
        found.update(members)
        return len(found) - before

    def srem(self, key: bytes, *members: bytes) -> int:
        found = self.data.get(key, set())
        before = len(found)
        found.difference_update(members)
        return before - len(found)

    def zadd(self, key: bytes, *pairs: bytes) -> int:
        found = self.data.setdefault(key, {})
        before = len(found)
        found.update({member: float(score) for score, member in zip(pairs[::2], pairs[1::2], strict=True)})
        return len(found) - before

    def zrem(self, key: bytes, *members: bytes) -> int:
        found = self.data.get(key, {})
        return sum(found.pop(member, None) is not None for member in members)

    def zrange(self, key: bytes, first: bytes, last: bytes, *withscores: bytes) -> list[Any]:
        rows = sorted(self.data.get(key, {}).items(), key=lambda row: (row[1], row[0]))
        end = int(last) + 1
        shown = rows[int(first) : end if end else None]
        assert withscores
        return [part for member, score in shown for part in (member, b"%d" % int(score))]

    def zcount(self, key: bytes, least: bytes, most: bytes) -> int:
        assert least == b"-inf"
        return sum(score <= int(most) for score in self.data.get(key, {}).values())

    def zcard(self, key: bytes) -> int:
        return len(self.data.get(key, {}))


_COMMANDS: dict[bytes, Callable[..., Any]] = {
    name.upper().encode(): method
    for name, method in vars(Keyspace).items()
    if callable(method) and not name.startswith("_") and name != "delete"
} | {b"DEL": Keyspace.delete}


class RedisServer:
    """One Redis. `after(token, keys, writes, answer)` is called after each script: it checks what always holds."""

    def __init__(self, after: Callable[[bytes, Sequence[bytes], Sequence[Command], Any], None]) -> None:
        self._keyspace = Keyspace()
        self._after = after
        self.log: list[Logged] = []
        self.up = True
        self._numbers = 0
        self.connections = 0
        """Grows with each restart: a request of an older connection may come too late to be answered."""

    @property
    def data(self) -> dict[bytes, Any]:
        return self._keyspace.data

    def command(self, *words: Any) -> Any:
        """Executes one command from outside."""
        self._numbers += 1
        return self.called(tuple(map(as_bytes, words)))

    def script(self, text: bytes, keys: Sequence[bytes], args: Sequence[bytes], token: bytes) -> Any:
        """Executes a script as one indivisible unit. `token` names the caller to the invariants."""
        self._numbers += 1
        compiled = _compiled.get(text)
        if compiled is None:
            compiled = _compiled[text] = _runtime.compile(b"local redis, KEYS, ARGV = ...; " + text)
        begin = len(self.log)
        table = _runtime.table_from
        _callers.append(self)
        try:
            answer = _from_lua(compiled(_REDIS, table(keys), table(args)))
        finally:
            _callers.pop()
        self._after(token, keys, [command for command, _ in self.log[begin:]], answer)
        return answer

    def called(self, command: Command) -> Any:
        """Executes one command, which may be part of a script."""
        name = command[0]
        if name in _WRITES:
            self.log.append((command, self._numbers))
        return _COMMANDS[name](self._keyspace, *command[1:])

    def crash(self, keep: int, torn: str) -> bool:
        """Loses everything after the first `keep` commands of the log; says whether that tore a transaction.

        `torn`: `applied` when the half transaction counts at once, `dropped` when the log is repaired, `dangling`
        when it is hidden now and counts after the next crash (what `aof-load-truncated yes` leaves behind).
        """
        is_torn = 0 < keep < len(self.log) and self.log[keep - 1][1] == self.log[keep][1]
        del self.log[keep:]
        hidden = 0
        if is_torn and torn != "applied":
            number = self.log[-1][1]
            hidden = sum(1 for _, other in self.log if other == number)
        self._keyspace = Keyspace()
        for command, _ in self.log[: len(self.log) - hidden]:
            _COMMANDS[command[0]](self._keyspace, *command[1:])
        if torn == "dropped" and hidden:
            del self.log[-hidden:]
        self.connections += 1
        return is_torn


def _call(*words: Any) -> Any:
    """What `redis.call` is inside a script."""
    answer = _callers[-1].called(tuple([word if word.__class__ is bytes else _word(word) for word in words]))
    return answer if answer.__class__ is bytes else _to_lua(answer)


_REDIS: Any = _runtime.table_from({b"call": _call})


def _word(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer():
        return b"%d" % int(value)
    return as_bytes(value)


def _to_lua(answer: Any) -> Any:
    if answer is None:
        return False
    if isinstance(answer, list):
        return _runtime.table_from([False if item is None else item for item in answer])
    return answer


def _from_lua(answer: Any) -> Any:
    if lua51.lua_type(answer) == "table":
        return [_from_lua(answer[index]) for index in range(1, len(answer) + 1)]
    if answer is False:
        return None
    return int(answer) if isinstance(answer, float) else answer
