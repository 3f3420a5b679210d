"""A worker process with feed, producer and Redis as in a service: `python -m tests.bench.runtime.worker SPEC_JSON`."""

import asyncio
import cProfile
import json
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from shared.adapters.kafka import Producer
from shared.adapters.redis import RedisClient
from shared.kernel.errors import Fatal
from shared.runtime import logging
from shared.runtime.feed import FeedSettings, StageFeed
from shared.runtime.metrics import StageMetrics
from shared.runtime.process import settle_memory
from tests.bench.runtime.stages import build


@dataclass(frozen=True)
class Spec:
    """What a worker runs. `segments`: a JSON file of expressions; `profile`: where cProfile's figures go, if anywhere;
    `instance`: makes it a static member of its group; `gate`: a file whose coming lets it begin to read."""

    kind: str
    bootstrap_servers: str
    redis_url: str
    prefix: str
    namespace: str
    clock: str = "stream"
    segments: str = ""
    profile: str = ""
    instance: str = ""
    gate: str = ""


async def work(spec: Spec) -> int:
    """Runs until SIGTERM (0) or a crash (its exit code)."""
    settings = FeedSettings(
        kafka_bootstrap_servers=spec.bootstrap_servers,
        topic_prefix=spec.prefix,
        redis_url=spec.redis_url,
        redis_namespace=spec.namespace,
        clock="wall" if spec.clock == "wall" else "stream",
        kafka_session_timeout_ms=6_000,
        kafka_group_instance_id=spec.instance,
    )
    stage = build(spec.kind, _expressions(spec))
    if spec.gate:
        stage = replace(stage, gate=lambda: os.path.exists(spec.gate))  # noqa: PTH110 - asked once per poll
    producer = Producer(spec.bootstrap_servers, spec.prefix, spec.kind)
    redis = RedisClient(spec.redis_url, durable=True)
    feed = StageFeed(stage, settings, producer, StageMetrics(spec.kind, CollectorRegistry()), redis)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for service in (producer, redis, feed):
        await service.start()
    settle_memory()
    stopping = asyncio.create_task(stop.wait())
    crashing = asyncio.create_task(feed.wait_until_stopped())
    await asyncio.wait({stopping, crashing}, return_when=asyncio.FIRST_COMPLETED)
    reason = feed.crash_reason
    for service in (feed, producer, redis):
        await service.stop()
    if reason is not None:
        sys.stderr.write(f"crashed: {reason!r}\n")
    return reason.exit_code if isinstance(reason, Fatal) else int(reason is not None)


def _expressions(spec: Spec) -> list[str]:
    texts: list[str] = json.loads(Path(spec.segments).read_text()) if spec.segments else []
    return texts


def main() -> None:
    logging.configure("bench", "warning", "console")
    spec = Spec(**json.loads(sys.argv[1]))
    if not spec.profile:
        os._exit(uvloop.run(work(spec)))
    profiler = cProfile.Profile()
    code = profiler.runcall(uvloop.run, work(spec))
    profiler.dump_stats(spec.profile)
    os._exit(code)


if __name__ == "__main__":
    main()
