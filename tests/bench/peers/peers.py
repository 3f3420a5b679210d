"""The peers: how each is started on the same job, and how one sees that it is done.

The job, per event: decode its JSON, keep count, sum of order values and newest `occurred_at` of its profile, write one
JSON record with them; state and output durable before the event counts as done for good.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tests.bench.peers import java, python_env
from tests.bench.runtime.stages import AGGREGATE
from tests.bench.runtime.worker import Spec
from tests.support.platform import EmbeddedPlatform

OURS = "freshet"
CACHED = "kafka_streams_cached"

_EXACTLY_ONCE = "exactly_once_v2"
_LINGER_MS = "0"
_COMMIT_MS = "25"
"""An output is seen when its transaction has ended: shorter is sooner, and dearer. Below it commits do nothing else."""

Progress = Literal["fences", "outputs", "committed", "reported"]


@dataclass(frozen=True)
class Run:
    """One run of one peer. `prefix` names topics: `<prefix>events` is read, `<prefix>profile-updates` written.
    `hurried`: the peer is set for latency, as its users would set it; otherwise as for throughput."""

    name: str
    prefix: str
    folder: Path
    hurried: bool = False

    @property
    def source(self) -> str:
        return f"{self.prefix}events"

    @property
    def target(self) -> str:
        return f"{self.prefix}profile-updates"


@dataclass(frozen=True)
class Peer:
    """`share`: part of the events it is given, because slow ones would take all day. `progress`: where the number of
    finished events is read: our fences in Redis, records in the output topic, offsets committed with the outputs in a
    transaction, or what the peer says itself. `rates`: events/s offered in the latency runs; none leaves them out."""

    name: str
    what: str
    share: float
    progress: Progress
    command: Callable[[Run], Sequence[str]]
    rates: tuple[int, ...] = (1_000, 5_000, 10_000)
    transactional: bool = False
    changelog: str = ""


def available(
    platform: EmbeddedPlatform, folder: Path, say: Callable[[str], None]
) -> tuple[list[Peer], dict[str, str]]:
    """Returns the peers that can run here, ours first, and why the others cannot."""
    peers, missing = [_ours(platform), _faust(platform)], dict[str, str]()
    try:
        peers.append(_quixstreams(platform, python_env.interpreter(say)))
    except python_env.NotInstallableError as error:
        missing["quixstreams"] = str(error)
    try:
        peers += _kafka_streams(platform, java.compiled(folder, say))
    except java.NoCompilerError as error:
        missing["kafka_streams"] = str(error)
    return peers, missing


def _ours(platform: EmbeddedPlatform) -> Peer:
    def command(run: Run) -> Sequence[str]:
        spec = Spec(AGGREGATE, platform.kafka_bootstrap_servers, platform.redis_url, run.prefix, run.name)
        return [sys.executable, "-m", "tests.bench.runtime.worker", json.dumps(asdict(spec))]

    return Peer(OURS, "the stage runtime with the bare aggregate, state fenced in Redis", 1.0, "fences", command)


def _faust(platform: EmbeddedPlatform) -> Peer:
    def command(run: Run) -> Sequence[str]:
        names = [platform.kafka_bootstrap_servers, run.name, run.source, run.target, "8"]
        return [sys.executable, "-m", "tests.bench.peers.faust_agent", *names]

    what = "stock Faust: agent, Table in memory with a changelog, one send per event"
    return Peer("faust", what, 0.02, "outputs", command, changelog="-totals-changelog")


def _quixstreams(platform: EmbeddedPlatform, python: Path) -> Peer:
    def command(run: Run) -> Sequence[str]:
        program = str(Path(__file__).with_name("quix_stateful.py"))
        return [
            str(python),
            program,
            platform.kafka_bootstrap_servers,
            run.name,
            run.source,
            run.target,
            str(run.folder),
            _LINGER_MS if run.hurried else "",
        ]

    what = "stateful function in RocksDB with a changelog; for latency linger.ms 0"
    return Peer("quixstreams", what, 0.2, "outputs", command)


def _kafka_streams(platform: EmbeddedPlatform, java_command: Sequence[str]) -> list[Peer]:
    def starts(guarantee: str, cache: str) -> Callable[[Run], Sequence[str]]:
        def command(run: Run) -> Sequence[str]:
            names = [platform.kafka_bootstrap_servers, run.name, run.source, run.target, str(run.folder)]
            hurry = [_LINGER_MS, _COMMIT_MS if guarantee == _EXACTLY_ONCE else ""] if run.hurried else []
            return [*java_command, *names, guarantee, cache, *hurry]

        return command

    uncached, cached = starts("at_least_once", "0"), starts("at_least_once", "-1")
    exactly_once = starts(_EXACTLY_ONCE, "0")
    what = "RocksDB, cache 0: one output per event; for latency linger.ms 0 (its default: 100)"
    return [
        Peer("kafka_streams", what, 1.0, "outputs", uncached),
        Peer(CACHED, "RocksDB, default cache: few outputs, shown every 30 s", 1.0, "reported", cached, rates=()),
        Peer(
            "kafka_streams_exactly_once",
            "RocksDB, cache 0, exactly_once_v2; for latency linger.ms 0 and commit.interval.ms 25 (defaults: 100)",
            1.0,
            "committed",
            exactly_once,
            transactional=True,
        ),
    ]


def summary(peers: Sequence[Peer]) -> Mapping[str, str]:
    return {peer.name: peer.what for peer in peers}
