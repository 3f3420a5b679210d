"""The machine-learning line for tests: its five services in one process, and their topics."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from prometheus_client import CollectorRegistry

from deploy.local import topics as kafka_topics
from services.edge_inference import app as edge_app
from services.edge_inference.settings import Settings as EdgeSettings
from services.model_registry import app as registry_app
from services.model_registry.settings import Settings as RegistrySettings
from services.scoring import app as scoring_app
from services.scoring.settings import Settings as ScoringSettings
from services.segmentation import app as segmentation_app
from services.segmentation.settings import Settings as SegmentationSettings
from services.training import app as training_app
from services.training.settings import Settings as TrainingSettings
from shared.adapters.kafka import Producer
from shared.contracts.models import TrainingRequest
from shared.contracts.topics import TRAINING_REQUESTS, Topic, physical_topics
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.process import Process
from tests.support.platform import EmbeddedPlatform
from tests.support.running import running
from tests.support.topic_reading import read_topic
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Line:
    """The five services of one namespace, and the way to its topics."""

    platform: EmbeddedPlatform
    run: str
    segmentation: httpx.AsyncClient
    registry: httpx.AsyncClient
    training: httpx.AsyncClient
    scoring: httpx.AsyncClient
    edge: httpx.AsyncClient
    producer: Producer

    async def read(self, topic: Topic) -> list[Any]:
        """Everything a topic holds now, decoded, by partition and offset."""
        name = f"{self.run}-{topic.name}"
        records = await read_topic(self.platform.kafka_bootstrap_servers, name, topic.partitions)
        return [topic.codec.decode(record.value) for record in records]


@asynccontextmanager
async def ml_line(platform: EmbeddedPlatform, folder: Path) -> AsyncIterator[Line]:
    """Runs segmentation, registry, training, scoring and the edge in this process, in a namespace of their own."""
    run = uuid4().hex[:8]
    servers = platform.kafka_bootstrap_servers
    await kafka_topics.create(servers, physical_topics(f"{run}-"))
    kafka = {"http_port": 0, "kafka_bootstrap_servers": servers, "topic_prefix": f"{run}-"}
    redis = {"redis_url": platform.redis_url, "redis_namespace": run}

    def sql(name: str) -> dict[str, str]:
        return {"database_url": f"sqlite+aiosqlite:///{folder}/{name}.db"}

    def home(name: str) -> dict[str, Path]:
        return {"data_dir": folder / name}

    async with AsyncExitStack() as stack:

        async def start(process: Any) -> str:
            return await stack.enter_async_context(running(process))

        async def client(url: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))

        schemas = {"ingestion_url": await start(union_schema())}
        segmentation = await start(
            segmentation_app.build(
                SegmentationSettings.model_validate(
                    {**kafka, **redis, **sql("segmentation"), **schemas, "clock": "stream"}
                )
            )
        )
        registry = await start(
            registry_app.build(RegistrySettings.model_validate({**kafka, **sql("registry"), **home("registry")}))
        )
        places = {"registry_url": registry, "segmentation_url": segmentation}
        training = await start(
            training_app.build(
                TrainingSettings.model_validate({**kafka, **sql("training"), **home("training"), **places})
            )
        )
        at_registry = {"registry_url": registry}
        scoring = await start(
            scoring_app.build(
                ScoringSettings.model_validate({**kafka, **redis, **home("scoring"), **at_registry, "clock": "stream"})
            )
        )
        edge = await start(
            edge_app.build(EdgeSettings.model_validate({**kafka, **redis, **home("edge"), **at_registry}))
        )
        producer = Producer(servers, f"{run}-")
        await producer.start()
        stack.push_async_callback(producer.stop)
        yield Line(
            platform,
            run,
            segmentation=await client(segmentation),
            registry=await client(registry),
            training=await client(training),
            scoring=await client(scoring),
            edge=await client(edge),
            producer=producer,
        )


def union_schema() -> Process:
    """The one answer of ingestion that this line needs: the union schema."""
    number, text = {"type": "number"}, {"type": "string"}

    def nested(**fields: Any) -> dict[str, Any]:
        return {"type": "object", "properties": fields}

    schema = nested(
        eventType=text,
        timestamp={"type": "string", "format": "date-time"},
        commerce=nested(order=nested(priceTotal=number)),
        loyalty=nested(points=number),
    )
    health = Health()
    api = create_api("union schema", "Stands for ingestion.", health, CollectorRegistry())

    @api.get("/schemas/union")
    async def union() -> dict[str, Any]:
        return schema

    return Process("union", TrainingSettings(http_port=0), api, health, ())


async def train(line: Line, run_id: str, through_kafka: bool, **parameters: Any) -> dict[str, Any]:
    """Requests a run, waits for its end and returns it."""
    wanted = {"feature_set": "shop", "n_estimators": 20} | parameters
    if through_kafka:
        request = TrainingRequest(run_id, "propensity", "propensity", requested_at=1, parameters=wanted)
        await line.producer.send(TRAINING_REQUESTS, run_id, request)
    else:
        body = {"id": run_id, "recipe": "propensity", "model": "propensity", "parameters": wanted}
        assert (await line.training.post("/runs", json=body)).status_code == 202

    async def ended() -> Any:
        run = (await line.training.get(f"/runs/{run_id}")).json()
        return run if run.get("state") in ("DONE", "FAILED", "ABORTED") else None

    found: dict[str, Any] = await eventually(ended, f"run {run_id} ended", limit_s=90)
    return found
