"""Background work: a few at once, ended with the process, harmless when it fails."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from services.segmentation.jobs import PreviewJobs
from services.segmentation.metrics import SegmentationMetrics
from shared.kernel.errors import Retryable
from tests.support.waiting import eventually


async def for_ever() -> None:
    await asyncio.Event().wait()


def jobs(registry: CollectorRegistry) -> PreviewJobs:
    return PreviewJobs(2, SegmentationMetrics(registry))


def ended(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value("freshet_segmentation_previews_total", {"outcome": outcome})


async def test_a_third_preview_is_refused_until_one_has_ended() -> None:
    registry = CollectorRegistry()
    background = jobs(registry)
    background.start_job("a", for_ever)
    background.start_job("b", for_ever)

    with pytest.raises(Retryable, match="2 previews are running"):
        background.start_job("c", for_ever)
    await asyncio.sleep(0)
    await background.cancel("a")
    background.start_job("c", for_ever)

    assert 2 == registry.get_sample_value("freshet_segmentation_previews_running")
    await background.on_stop()


async def test_stopping_ends_what_runs() -> None:
    registry = CollectorRegistry()
    background = jobs(registry)
    background.start_job("a", for_ever)
    await asyncio.sleep(0)

    await background.on_stop()

    assert 1 == ended(registry, "cancelled")
    assert 0 == registry.get_sample_value("freshet_segmentation_previews_running")


async def test_a_job_cancelled_before_it_began_gives_its_place_back() -> None:
    background = jobs(CollectorRegistry())
    background.start_job("a", for_ever)
    background.start_job("b", for_ever)

    await background.cancel("a")
    await background.cancel("b")

    background.start_job("c", for_ever)
    background.start_job("d", for_ever)
    await background.on_stop()


async def test_a_job_that_fails_is_counted_and_harms_nothing() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    registry = CollectorRegistry()
    background = jobs(registry)
    background.start_job("a", fail)

    async def counted() -> bool:
        return ended(registry, "failed") == 1

    await eventually(counted, "the failure is counted")
