"""Builds the segmentation process: the only place where its parts meet."""

from uuid import uuid4

from fastapi import FastAPI
from mode import Service
from prometheus_client import CollectorRegistry

from services.segmentation import stream
from services.segmentation.adapters.fact_log import KafkaFactLog
from services.segmentation.adapters.live_profiles import RedisLiveProfiles
from services.segmentation.adapters.notes import RedisNotes
from services.segmentation.adapters.plans import RunningDefinitions
from services.segmentation.adapters.schemas import HttpUnionSchemas
from services.segmentation.adapters.store import SqlDefinitionStore, metadata, outbox
from services.segmentation.api import definitions, features, insight, previews
from services.segmentation.domain.definitions import compile_definitions
from services.segmentation.domain.state import State
from services.segmentation.handlers.backfill import Backfill
from services.segmentation.handlers.backfill import Limits as BackfillLimits
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.handlers.insight import InsightHandlers
from services.segmentation.handlers.previews import PreviewHandlers
from services.segmentation.jobs import BackfillJob, PreviewJobs
from services.segmentation.metrics import SegmentationMetrics
from services.segmentation.settings import Settings
from shared import pql
from shared.adapters.kafka import CompactedReader, KafkaAccess, Producer
from shared.adapters.kafka_log import newest_values
from shared.adapters.redis import RedisClient
from shared.adapters.sql import Database, Outbox
from shared.contracts.facts import Fact
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
from shared.runtime.stage import Stage

_DOC = "Decides continuously which segments each profile is in."
_RELAY_EVERY_S = 0.25
_TURN_KEYS = 64
"""Profiles brought over at once: some ms of work that live facts may have to wait for."""


async def rebuild_stage(kafka: str | KafkaAccess, prefix: str) -> Stage[Fact, State]:
    """Returns the stage by the newest definitions, as `freshet state rebuild` runs it: as if they always had held."""
    segments = await newest_values(kafka, SEGMENT_DEFINITIONS, prefix)
    feature_sets = await newest_values(kafka, FEATURE_DEFINITIONS, prefix)
    compiled = compile_definitions(segments.values(), feature_sets.values(), pql.Schema.permissive())
    return stream.stage(lambda: compiled)


def build(settings: Settings) -> Process:
    """Puts definitions (SQL, outbox, HTTP) and the stage (Kafka, Redis) together."""
    registry = CollectorRegistry()
    health = Health()
    database = Database(settings.database_url, metadata)
    producer = Producer(settings.kafka_access, settings.topic_prefix, "segmentation")
    redis = RedisClient(settings.redis_url, durable=True)
    published = Outbox(database, outbox, (SEGMENT_DEFINITIONS, FEATURE_DEFINITIONS))
    metrics = SegmentationMetrics(registry)
    running = RunningDefinitions(metrics)
    readers = [
        CompactedReader(settings.kafka_access, topic, on_record, settings.topic_prefix)
        for topic, on_record in (
            (SEGMENT_DEFINITIONS, running.on_segment),
            (FEATURE_DEFINITIONS, running.on_feature_set),
        )
    ]
    notes = RedisNotes(redis, settings.redis_namespace, WallClock())
    log = KafkaFactLog(settings.kafka_access, settings.topic_prefix)
    limits = BackfillLimits(settings.backfill_rows_per_s_max, settings.backfill_profiles_max, _TURN_KEYS)
    backfill = Backfill(running, notes, log, WallClock(), limits, metrics.note_backfill)
    stage = stream.backfilled_stage(backfill, running.report, lambda: all(reader.caught_up for reader in readers))
    bounds = Limits(states_cached_max=settings.states_cached_max)
    feed = StageFeed(stage, settings, producer, StageMetrics("segmentation", registry), redis, bounds)
    jobs = PreviewJobs(settings.previews_running_max, metrics)
    app = create_api("segmentation", _DOC, health, registry)
    _add_doors(app, settings, SqlDefinitionStore(database, published), running, notes, log, redis, jobs)
    control = _relay_control(settings, published, producer)
    for name, ping in (("sql", database.ping), ("kafka", producer.ping), ("redis", redis.ping), ("feed", feed.ping)):
        health.add(name, ping)
    components: list[Service] = [database, producer, redis, control, *readers, BackfillJob(backfill), feed, jobs]
    return Process("segmentation", settings, app, health, components)


def _add_doors(
    app: FastAPI,
    settings: Settings,
    store: SqlDefinitionStore,
    running: RunningDefinitions,
    notes: RedisNotes,
    log: KafkaFactLog,
    redis: RedisClient,
    jobs: PreviewJobs,
) -> None:
    """Puts the handlers of the control plane together and opens their HTTP doors."""
    schemas = HttpUnionSchemas(settings.ingestion_url)
    profiles = RedisLiveProfiles(redis, settings.redis_namespace)
    wall = WallClock() if settings.clock == "wall" else None
    defining = DefinitionHandlers(store, schemas, WallClock(), _new_id)
    asking = InsightHandlers(defining, schemas, running, profiles, log, wall, settings.why_rows_max)
    previewing = PreviewHandlers(running, schemas, log, jobs, wall, _new_id, settings.preview_profiles_max)
    app.include_router(definitions.routes(defining, notes))
    app.include_router(features.routes(defining, notes))
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
