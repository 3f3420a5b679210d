"""What the processes of a platform use, seen from outside: memory, descriptors, tasks, the heaps of Redis and Kafka."""

import contextlib
import re
from collections.abc import Sequence

import httpx
import psutil
import redis

from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings
from deploy.local.supervision import Supervisor
from tests.chaos.jvm import heap_used_bytes

Sample = dict[str, float]
"""`<program>.<quantity>` to its value; what could not be had is left out."""

_TASKS = re.compile(r"^freshet_asyncio_tasks (\S+)$", re.MULTILINE)
_MIB = 2**20


def sample(settings: LocalSettings, services: Sequence[str]) -> Sample:
    """Looks once at everything. Sizes are MiB. Takes some ten milliseconds a service: each is asked for its metrics."""
    taken: Sample = {}
    for name, state in Supervisor(Layout(settings.home)).states().items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(state.pid) if state.pid else None
            if process is not None:
                taken |= _process(name, process)
                taken[f"{name}.pid"] = state.pid
    for name in services:
        with contextlib.suppress(httpx.TransportError):
            found = _TASKS.search(httpx.get(f"{settings.url(name)}/metrics", timeout=10).text)
            if found:
                taken[f"{name}.tasks"] = float(found[1])
    with contextlib.suppress(redis.RedisError), redis.Redis(host=settings.host, port=settings.redis_port) as client:
        told = client.info()
        taken["redis.used_mib"] = told["used_memory"] / _MIB
        taken["redis.keys"] = told.get("db0", {}).get("keys", 0)
        taken["redis.connections"] = told["connected_clients"]
    return taken


def _process(name: str, process: psutil.Process) -> Sample:
    taken: Sample = {
        f"{name}.rss_mib": process.memory_info().rss / _MIB,
        f"{name}.fds": process.num_fds(),
        f"{name}.threads": process.num_threads(),
        f"{name}.cpu_s": sum(process.cpu_times()[:2]),
    }
    if name == "kafka" and (heap := heap_used_bytes(process)) is not None:
        taken["kafka.heap_mib"] = heap / _MIB
    return taken
