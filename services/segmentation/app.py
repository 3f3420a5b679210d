"""Builds the segmentation process: the only place where its parts meet."""

from uuid import uuid4

from fastapi import FastAPI
from mode import Service
from prometheus_client import CollectorRegistry

from services.segmentation import stream
from services.segmentation.adapters.fact_log import KafkaFactLog
from services.segmentation.adapters.live_profiles import RedisLiveProfiles
from services.segmentation.adapters.plans import RunningDefinitions
from services.segmentation.adapters.schemas import HttpUnionSchemas
from services.segmentation.adapters.store import SqlDefinitionStore, metadata, outbox
from services.segmentation.api import definitions, features, insight, previews
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.handlers.insight import InsightHandlers
from services.segmentation.handlers.previews import PreviewHandlers
from services.segmentation.jobs import PreviewJobs
from services.segmentation.metrics import SegmentationMetrics
from services.segmentation.settings import Settings
from shared.adapters.kafka import CompactedReader, Producer
from shared.adapters.redis import RedisClient
from shared.adapters.sql import Database, Outbox
from shared.contracts.topics import FEATURE_DEFINITIONS, SEGMENT_DEFINITIONS
from shared.kernel.clock import WallClock
from shared.kernel.errors import Retryable
from shared.runtime.context import Limits
from shared.runtime.control import ControlHost, control_app
from shared.runtime.feed import StageFeed
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.metrics import StageMetrics
from shared.runtime.process import Process

_DOC = "Decides continuously which segments each profile is in."
_RELAY_EVERY_S = 0.25


def build(settings: Settings) -> Process:
    """Puts definitions (SQL, outbox, HTTP) and the stage (Kafka, Redis) together."""
    registry = CollectorRegistry()
    health = Health()
    database = Database(settings.database_url, metadata)
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix, "segmentation")
    redis = RedisClient(settings.redis_url, durable=True)
    published = Outbox(database, outbox, (SEGMENT_DEFINITIONS, FEATURE_DEFINITIONS))
    metrics = SegmentationMetrics(registry)
    running = RunningDefinitions(metrics)
    readers = [
        CompactedReader(settings.kafka_bootstrap_servers, topic, on_record, settings.topic_prefix)
        for topic, on_record in (
            (SEGMENT_DEFINITIONS, running.on_segment),
            (FEATURE_DEFINITIONS, running.on_feature_set),
        )
    ]
    stage = stream.stage(running.current, running.report, lambda: all(reader.caught_up for reader in readers))
    limits = Limits(states_cached_max=settings.states_cached_max)
    feed = StageFeed(stage, settings, producer, StageMetrics("segmentation", registry), redis, limits)
    jobs = PreviewJobs(settings.previews_running_max, metrics)
    app = create_api("segmentation", _DOC, health, registry)
    _add_doors(app, settings, SqlDefinitionStore(database, published), running, redis, jobs)
    control = _relay_control(settings, published, producer)
    for name, ping in (("sql", database.ping), ("kafka", producer.ping), ("redis", redis.ping), ("feed", feed.ping)):
        health.add(name, ping)
    components: list[Service] = [database, producer, redis, control, *readers, feed, jobs]
    return Process("segmentation", settings, app, health, components)


def _add_doors(
    app: FastAPI,
    settings: Settings,
    store: SqlDefinitionStore,
    running: RunningDefinitions,
    redis: RedisClient,
    jobs: PreviewJobs,
) -> None:
    """Puts the handlers of the control plane together and opens their HTTP doors."""
    schemas = HttpUnionSchemas(settings.ingestion_url)
    log = KafkaFactLog(settings.kafka_bootstrap_servers, settings.topic_prefix)
    profiles = RedisLiveProfiles(redis, settings.redis_namespace)
    wall = WallClock() if settings.clock == "wall" else None
    defining = DefinitionHandlers(store, schemas, WallClock(), _new_id)
    asking = InsightHandlers(defining, schemas, running, profiles, log, wall, settings.why_rows_max)
    previewing = PreviewHandlers(running, schemas, log, jobs, wall, _new_id, settings.preview_profiles_max)
    app.include_router(definitions.routes(defining, running))
    app.include_router(features.routes(defining, running))
    app.include_router(insight.routes(asking, settings.tenant))
    app.include_router(previews.routes(previewing))


def _new_id() -> str:
    return str(uuid4())


def _relay_control(settings: Settings, published: Outbox, producer: Producer) -> ControlHost:
    """A Faust timer publishes stored definitions; what Kafka does not confirm stays in the outbox."""
    control = control_app("segmentation", settings)

    @control.timer(interval=_RELAY_EVERY_S, name="segmentation.relay-definitions")  # type: ignore[untyped-decorator]
    async def relay() -> None:
        try:
            await published.relay(producer)
        except Retryable as error:
            control.log.warning("definitions wait for Kafka: %s", error)

    return ControlHost(control, consumes=False)
