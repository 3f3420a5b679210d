"""What the operator's commands connect to, and how their trouble becomes a sentence and an exit code."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from logging import CRITICAL, getLogger
from ssl import SSLError
from typing import Any
from urllib.parse import parse_qsl

import uvloop
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared.adapters import kafka_connection
from shared.adapters.kafka import KafkaError
from shared.adapters.kafka_refusal import why_unreachable
from shared.adapters.redis import AuthenticationError, RedisClient, RedisError, ResponseError, passes
from shared.cli.segments.errors import WrongInput
from shared.cli.state.environment import read_environment, variable_of
from shared.kernel.errors import ExitCode, Fatal, Rejected, Retryable
from shared.runtime import logging
from shared.runtime.settings import KafkaSettings, RedisSettings

_TERMINAL_S, _LOG_S = 0.5, 5.0
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class Connection(KafkaSettings, RedisSettings):
    """Where Kafka and Redis are, out of the options, FRESHET_KAFKA_* and FRESHET_CLI_*."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *others: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Takes what `of` hands over and nothing else: it has read the environment, and refused what is unknown."""
        return (init_settings,)

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Connection":
        """Options go before the environment. Raises WrongInput naming the variable that is unknown or wrong."""
        given = {
            "kafka_bootstrap_servers": options.kafka,
            "redis_url": getattr(options, "redis", None),
            "topic_prefix": options.prefix,
            "redis_namespace": getattr(options, "namespace", None),
        }
        found: dict[str, Any] = read_environment(os.environ)
        found |= {name: value for name, value in given.items() if value is not None}
        try:
            return cls(**found)
        except ValidationError as error:
            lines = [f"{variable_of(str(e['loc'][0]))}: {e['msg']}" for e in error.errors()]
            raise WrongInput("settings are wrong: " + "; ".join(lines)) from None

    async def explain(self, error: Retryable) -> Fatal | Retryable:
        """Returns a refusal of user, mechanism or certificate if that is behind the error, else the error itself."""
        if isinstance(error.__cause__, KafkaError):
            found = await why_unreachable("freshet", self.kafka_access, error.__cause__)
            if found.exit_code == ExitCode.CONFIGURATION:
                return found
        return error


async def assert_redis(redis: RedisClient, url: str) -> None:
    """Raises Fatal for what no repetition mends (certificate, password, no Redis there), Retryable when it is away."""
    where = url.rpartition("@")[2].partition("?")[0]
    try:
        await redis.ping()
    except (RedisError, OSError) as error:
        why = _refusal(error, where, url)
        if why is not None:
            raise Fatal(why) from error
        raise Retryable(f"Redis at {where} does not answer: {error}") from error


def _refusal(error: BaseException, where: str, url: str) -> str | None:
    """Says what is to be corrected; None where there is nothing but to wait."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SSLError):
            return (
                f"TLS with Redis at {where} fails: {cause}. Name the root that signed its certificate in the URL: "
                f"rediss://{where}?ssl_ca_certs=FILE, and a host that stands in the certificate"
            )
        if isinstance(cause, FileNotFoundError | PermissionError):
            query = parse_qsl(url.partition("?")[2])
            named = ", ".join(f"{name} {value}" for name, value in query if name in _TLS_FILES)
            return f"TLS with Redis at {where} cannot be set up from {named}: {cause}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, AuthenticationError) or (isinstance(error, ResponseError) and not passes(error)):
        return f"Redis at {where} refuses this client: {error}. Correct user and password in FRESHET_CLI_REDIS_URL"
    return None


def run(work: Coroutine[Any, Any, int]) -> int:
    """Runs a command; returns its exit code, or tells what stopped it and returns 1, 70 to 73 or 75."""
    kafka_connection.mend()
    logging.configure("freshet", "error", "console")
    getLogger("aiokafka").setLevel(CRITICAL)  # what goes wrong with Kafka is told below, once
    try:
        return uvloop.run(work)
    except Fatal as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if error.exit_code == ExitCode.CONFIGURATION else error.exit_code
    except Rejected as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (Retryable, RedisError) as error:
        what = f"Redis does not answer: {error}" if isinstance(error, RedisError) else str(error)
        print(f"error: {what}; nothing is half done, give the same command again", file=sys.stderr)
        return ExitCode.RETRY
    except OSError as error:  # a file that cannot be read or written, a disk that is full
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1


async def may_delete(question: str) -> bool:
    """Asks a person; says so when the answer is no. Raises WrongInput where nobody can be asked."""
    if not sys.stdin.isatty():
        raise WrongInput("deleting needs --yes where nobody can be asked")
    if await asyncio.to_thread(input, f"{question} Type yes: ") == "yes":
        return True
    print("nothing was deleted")
    return False


class Progress:
    """One line on standard error: changing in a terminal, every few seconds elsewhere."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()
        self._open = False
        self._done = 0

    def tell_more(self, more: int) -> None:
        """Says how many entries are done, which are `more` than before."""
        self._done += more
        self.tell(self._done, unit="entries")

    def tell(self, done: int, total: int | None = None, unit: str = "records") -> None:
        """Says how much is done, at what rate, and how long the rest will take."""
        now = time.monotonic()
        if self._quiet or now - self._told < (_TERMINAL_S if self._terminal else _LOG_S):
            return
        self._told = now
        rate = done / max(0.001, now - self._began)
        text = f"{self._what}: {done:,} {unit}, {rate:,.0f}/s"
        if total:
            left = f"{(total - done) / rate:,.0f} s left" if rate else "no end in sight"
            text = f"{self._what}: {done:,} of {total:,} {unit} ({100 * done // total} %), {rate:,.0f}/s, {left}"
        start, end = ("\r\033[K", "") if self._terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)
        self._open = self._terminal

    def say(self, text: str) -> None:
        """Says one thing on a line of its own."""
        self.close()
        if not self._quiet:
            print(f"{self._what}: {text}", file=sys.stderr, flush=True)

    def insist(self, text: str) -> None:
        """Says one thing also to who wants no progress: what to do next after an interruption."""
        self.close()
        print(f"{self._what}: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._open:
            print(file=sys.stderr)
            self._open = False
