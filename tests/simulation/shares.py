"""Many schedules over several processes. Each runs in one thread of one of them, and its seed alone tells how."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.runner import Report, run_many

SHARE = 250
"""Schedules handed out at once: few enough that all processes end together."""
PROCESSES = int(os.environ.get("FRESHET_SIMULATION_PROCESSES", "0")) or min(2, os.cpu_count() or 1)


def run_shared(first: int, schedules: int, failures_max: int = 1, processes: int = PROCESSES) -> Report:
    """Runs schedules with the seeds from `first` on; stops handing out shares once too many have failed."""
    end, report = first + schedules, Report()
    shares = [(start, min(SHARE, end - start), failures_max) for start in range(first, end, SHARE)]
    if processes < 2 or len(shares) < 2:
        return run_many(first, schedules, failures_max)
    spawning = multiprocessing.get_context("spawn")  # the caller may have threads, which a fork would lose
    with ProcessPoolExecutor(processes, spawning) as pool:
        running = [pool.submit(run_many, *share) for share in shares]
        for share in running:
            report.add(share.result())
            if len(report.failures) >= failures_max:
                pool.shutdown(wait=True, cancel_futures=True)
                break
    return report
