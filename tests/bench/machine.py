"""What a measurement was taken on, and what each process used."""

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings
from deploy.local.supervision import Supervisor


def machine() -> dict[str, str | int | float]:
    """The machine in a few words, so that figures are compared with their like only."""
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system) used so far, by program, and when that was (monotonic s)."""

    at_s: float
    cpu_s: Mapping[str, float]


def usage(settings: LocalSettings) -> Usage:
    """Reads the CPU time of every running program of a platform, and of this process."""
    states = Supervisor(Layout(settings.home)).states()
    processes = {name: psutil.Process(state.pid) for name, state in states.items() if state.pid}
    processes["this process (sender, reader)"] = psutil.Process()
    return Usage(time.monotonic(), {name: _cpu_s(process) for name, process in processes.items()})


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def per_event(before: Usage, after: Usage, events: int) -> dict[str, float]:
    """CPU microseconds per event, by program."""
    return {name: round((spent - before.cpu_s.get(name, 0.0)) * 1e6 / events, 1) for name, spent in after.cpu_s.items()}
