"""The end of a chaos run (I8): the operator's commands give the same digests, and so does a replay after total loss.

While faults happen a copy is made by `freshet state backup`. At the end the digest of each stateful stage is taken
(SHA-256 over all states, deadlines and views, sorted). `freshet state rebuild` brings the copy up to the log's end in
another namespace, another copy is made, Redis loses everything, that copy is restored beside the live namespace, and
the workers replay the log from its start by themselves.
"""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.settings import CHECKOUT
from tests.chaos.crew import MAIN, Crew, Line
from tests.chaos.digests import Picture, difference, pictures
from tests.chaos.faults import Scene
from tests.chaos.outcome import Outcome
from tests.chaos.rest import at_rest
from tests.chaos.watch import STAGES, Stage

_STATEFUL = tuple(stage for stage in STAGES if stage.fenced)
_REPLAY_LIMIT_S = 1_200.0
_COPY_LIMIT_S = 180.0
_COPY_AGAIN_S = 1.0
_COMMANDS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class _Commands:
    """`freshet state` at the ports of Kafka and Redis themselves."""

    kafka: str
    redis: str
    turns: asyncio.Semaphore

    async def state(self, line: Line, name: str, *options: str, namespace: str = "") -> str:
        """Runs one command; returns what it printed. Fails with what it said when its exit code is not 0."""
        code, words, told = await self.tried(line, name, *options, namespace=namespace)
        assert code == 0, words
        return told

    async def tried(self, line: Line, name: str, *options: str, namespace: str = "") -> tuple[int | None, str, str]:
        """Runs one command; returns its exit code, all there is to say of it, and what it printed."""
        arguments = ["state", name, "--kafka", self.kafka, "--redis", self.redis, "--prefix", line.prefix]
        arguments += ["--namespace", namespace or line.namespace, "--quiet", *options]
        async with self.turns:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "shared.cli", *arguments),
                cwd=CHECKOUT,
                env=dict(os.environ),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            told, trouble = await process.communicate()
        words = f"freshet {' '.join(arguments)}: exit code {process.returncode}\n{told.decode()}\n{trouble.decode()}"
        return process.returncode, words[:4_000], told.decode()


def _commands(crew: Crew) -> _Commands:
    return _Commands(crew.inner.kafka_bootstrap_servers, crew.inner.redis_url, asyncio.Semaphore(_COMMANDS_AT_ONCE))


async def copy_under_faults(crew: Crew, say: Any) -> Path:
    """Makes a copy of the main line while workers run and faults happen; tries again when Redis was away meanwhile, or
    had just been emptied."""
    copy = crew.inner.home / "under_faults.fsnap"
    options = ("--output", str(copy), *_stages([stage.name for stage in _STATEFUL if stage.line == MAIN]))
    commands, until = _commands(crew), time.monotonic() + _COPY_LIMIT_S
    while True:
        code, words, told = await commands.tried(MAIN, "backup", *options)
        if code == 0:
            say(f"copied while faults happened: {told.splitlines()[-1].rpartition(': ')[2]}")
            return copy
        assert time.monotonic() < until, words
        await asyncio.sleep(_COPY_AGAIN_S)


async def lose_and_restore(scene: Scene, copy: Path, outcome: Outcome, say: Any) -> None:
    """Takes the digests, rebuilds from `copy`, switches, loses, restores and replays; each gives the digests of
    before."""
    crew, inner, commands = scene.crew, scene.crew.inner, _commands(scene.crew)
    # Segmentation tells the newest vector of a batch, and a replay falls into other batches: scores of vectors that had
    # not been told before would be new facts, and the log would not be the one that was compared.
    await crew.gone("scoring", signal.SIGTERM)
    before = await pictures(inner.redis_url, _STATEFUL)
    outcome.figures["digests"] = {
        f"{told.stage.line.namespace} {told.stage.name}": {"total": told.digests["total"], **told.digests["counts"]}
        for told in before
    }
    rebuilt = await asyncio.gather(*(_rebuilt(commands, stage, copy) for stage in _STATEFUL))
    outcome.figures["rebuilt"] = [line for told in rebuilt for line in told.splitlines() if " records into " in line]
    await _compare(outcome, "I8 a rebuild from the log has the same digest", before, inner.redis_url, "-rebuilt")
    say("rebuilt, switched and compared")
    copies = inner.home / "copies"
    copies.mkdir()
    lines = {stage.line.namespace: stage.line for stage in _STATEFUL}
    for ns, line in lines.items():
        names = [stage.name for stage in _STATEFUL if stage.line.namespace == ns]
        await commands.state(line, "backup", "--output", str(copies / f"{ns}.fsnap"), *_stages(names))
    took = await _replayed_after_loss(scene, commands, lines, copies, say)
    outcome.figures["replayed_after_total_loss_seconds"] = round(took, 1)
    await _compare(outcome, "I8 a restored copy has the same digest", before, inner.redis_url, "-copy")
    await _compare(outcome, "I8 a replay after total loss has the same digest", before, inner.redis_url)
    say("total loss: replayed and compared")


def _stages(names: Sequence[str]) -> list[str]:
    return [word for name in names for word in ("--stage", name)]


async def _rebuilt(commands: _Commands, stage: Stage, copy: Path) -> str:
    """Rebuilds a stage beside its workers, from the copy where it is in it, and hands them over, which fails when a
    single profile differs."""
    to = stage.line.namespace + "-rebuilt"
    begin = ("--from", str(copy)) if stage.line == MAIN else ()
    told = await commands.state(stage.line, "rebuild", "--stage", stage.name, "--to", to, *begin)
    return told + await commands.state(stage.line, "switch", "--stage", stage.name, "--to", to)


async def _replayed_after_loss(
    scene: Scene, commands: _Commands, lines: dict[str, Line], copies: Path, say: Any
) -> float:
    """Redis loses all; returns the seconds until the workers had everything again."""
    nothing_more = asyncio.Event()
    nothing_more.set()
    targets = await _ends(scene)
    await scene.crew.gone("redis", signal.SIGKILL)
    shutil.rmtree(scene.crew.layout.redis)
    scene.crew.layout.redis.mkdir()
    scene.crew.back("redis")
    began = time.monotonic()
    await scene.crew.answering("redis")
    for namespace, line in lines.items():
        copy = str(copies / f"{namespace}.fsnap")
        await commands.state(line, "restore", "--input", copy, namespace=f"{namespace}-copy")
    say("lost everything, restored a copy")
    replayed = await scene.watch.until_passed(targets, _REPLAY_LIMIT_S, nothing_more)
    assert replayed, f"the log was not replayed within {_REPLAY_LIMIT_S:.0f} s"
    say("replayed")
    await at_rest(scene.crew, say, without=frozenset({"scoring"}))
    # Replayed decisions are told again, which gives the stage behind more to read.
    replayed = await scene.watch.until_passed(await _ends(scene), _REPLAY_LIMIT_S, nothing_more)
    assert replayed, f"what the replay told was not read within {_REPLAY_LIMIT_S:.0f} s"
    return time.monotonic() - began


async def _ends(scene: Scene) -> dict[Stage, dict[int, int]]:
    return {stage: ends for stage, ends in (await scene.watch.targets()).items() if stage in _STATEFUL}


async def _compare(outcome: Outcome, check: str, before: list[Picture], redis_url: str, suffix: str = "") -> None:
    for expected, found in zip(before, await pictures(redis_url, _STATEFUL, suffix), strict=True):
        what = difference(expected, found)
        outcome.findings.expect(check, not what, f"{found.stage.line.namespace} {found.stage.name}: {what}")
