"""Starts the workers of a chaos run and tells them what to decide by: segments, features, a model."""

import asyncio
from dataclasses import dataclass

import httpx
import msgspec
import psutil

from shared.sdk import Freshet
from tests.chaos.crew import MAIN, WALL, Crew
from tests.chaos.faults import THIRD
from tests.chaos.model import RAW_MODEL
from tests.chaos.segments import FEATURE_SET, FEATURES, MODEL, SEGMENTS, WALL_SEGMENTS
from tests.chaos.workload import Datasets
from tests.support.models import manifest_of
from tests.support.platform import free_ports
from tests.support.waiting import wait_until

_EVENT_SCHEMA = "https://ns.adobe.com/xdm/context/experienceevent"
_PROFILE_SCHEMA = "https://ns.adobe.com/xdm/context/profile"
_START_LIMIT_S = 180.0


@dataclass(frozen=True, slots=True)
class WallDoor:
    """Where the wall line takes events: the HTTP ports of its ingestions, an inlet and a dataset."""

    ports: tuple[int, ...]
    connection: str
    dataset: str


@dataclass(frozen=True, slots=True)
class Started:
    datasets: Datasets
    feature_hash: str
    wall: WallDoor
    third_port: int


async def start_workers(crew: Crew) -> Started:
    """Adds all workers, defines segments, features and a champion, and waits until every worker decides by them."""
    settings = crew.settings
    second, third, ingest_2, wall_1, wall_2, wall_seg, store_2 = free_ports(7)
    crew.add("ingestion-1", "ingestion", {}, MAIN, "ingestion")
    crew.add("wall-ingestion-1", "ingestion", {"ingestion": wall_1}, WALL, "wall-ingestion")
    crew.add("model_registry", "model_registry", {}, MAIN)
    await _ready(crew, settings.ingestion_port, wall_1)
    crew.add("ingestion-2", "ingestion", {"ingestion": ingest_2}, MAIN, "ingestion")
    crew.add("wall-ingestion-2", "ingestion", {"ingestion": wall_2}, WALL, "wall-ingestion")
    crew.add("segmentation-1", "segmentation", {}, MAIN)
    crew.add("segmentation-2", "segmentation", {"segmentation": second}, MAIN)
    crew.add("wall-segmentation", "segmentation", {"segmentation": wall_seg, "ingestion": wall_1}, WALL)
    crew.add("profile_store-1", "profile_store", {}, MAIN)
    crew.add("profile_store-2", "profile_store", {"profile_store": store_2}, MAIN)
    crew.add("scoring", "scoring", {}, MAIN)
    crew.add(THIRD, "segmentation", {"segmentation": third}, MAIN)
    crew.members[THIRD].wanted = False
    await _ready(crew, settings.segmentation_port, second, wall_seg, settings.profile_store_port, store_2)
    await _ready(crew, settings.model_registry_port, wall_2, ingest_2)
    (datasets, feature_hash), (connection, dataset) = await asyncio.gather(
        asyncio.to_thread(_define, crew), asyncio.to_thread(_define_wall, wall_1, wall_seg)
    )
    await _ready(crew, settings.scoring_port)
    return Started(datasets, feature_hash, WallDoor((wall_1, wall_2), connection, dataset), third)


async def _ready(crew: Crew, *ports: int) -> None:
    await asyncio.gather(*(crew.ready(port) for port in ports))


def _define(crew: Crew) -> tuple[Datasets, str]:
    names = ("ingestion", "segmentation", "profile_store", "model_registry")
    with Freshet.connect({name: crew.settings.url(name) for name in names}) as freshet:
        datasets = Datasets(
            freshet.ingestion.register_dataset("chaos-events", _EVENT_SCHEMA),
            freshet.ingestion.register_dataset("chaos-profiles", _PROFILE_SCHEMA),
        )
        for segment in SEGMENTS:
            freshet.segmentation.define(segment.id, segment.text, segment_id=segment.id)
        feature_set = freshet.segmentation.define_feature_set(FEATURE_SET, FEATURES)
        _promote(freshet, crew.settings.url("model_registry"), feature_set.hash)
        wait_until(
            lambda: all(s.ready for s in freshet.segmentation.segments()), "segments are decided by", _START_LIMIT_S
        )
        wait_until(lambda: freshet.segmentation.feature_set(FEATURE_SET).ready, "the features are computed")
    _started_anew(crew)
    return datasets, feature_set.hash


def _promote(freshet: Freshet, url: str, feature_hash: str) -> None:
    manifest = manifest_of(
        RAW_MODEL,
        model=MODEL,
        feature_set=FEATURE_SET,
        feature_set_hash=feature_hash,
        features=tuple(FEATURES),
        defaults=(0.0,) * len(FEATURES),
    )
    files = {"manifest": ("manifest.json", msgspec.json.encode(manifest)), "model": ("model.onnx", RAW_MODEL)}
    answer = httpx.post(f"{url}/models/{MODEL}/versions", files=files, timeout=60)
    assert answer.is_success, answer.text
    freshet.registry.move(MODEL, answer.json()["version"], 0)


def _define_wall(ingestion: int, segmentation: int) -> tuple[str, str]:
    urls = {"ingestion": f"http://127.0.0.1:{ingestion}", "segmentation": f"http://127.0.0.1:{segmentation}"}
    with Freshet.connect(urls) as freshet:
        dataset = freshet.ingestion.register_dataset("wall-events", _EVENT_SCHEMA)
        connection = freshet.ingestion.register_connection("wall")
        for segment in WALL_SEGMENTS:
            freshet.segmentation.define(segment.id, segment.text, segment_id=segment.id)
        wait_until(
            lambda: all(s.ready for s in freshet.segmentation.segments()), "segments are decided by", _START_LIMIT_S
        )
    return connection, dataset


def _started_anew(crew: Crew) -> None:
    """Restarts the second worker: only the one that was asked says that it decides by the definitions."""
    member = crew.members["segmentation-2"]
    starts = member.starts
    if member.pid:
        psutil.Process(member.pid).kill()
    wait_until(lambda: member.starts > starts and member.pid, "the second worker started again")
