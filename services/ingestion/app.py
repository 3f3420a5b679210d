"""Builds the ingestion process: the only place where its parts meet."""

from uuid import uuid4

from mode import Service
from prometheus_client import CollectorRegistry

from services.ingestion import api, stream
from services.ingestion.adapters.inbound import KafkaInboundLog
from services.ingestion.adapters.registry import CompiledDatasets, SqlRegistry, metadata
from services.ingestion.adapters.schemas import JsonSchemaCompiler
from services.ingestion.handlers import Collection, Registrations
from services.ingestion.metrics import IngestionMetrics
from services.ingestion.settings import Settings
from shared.adapters.kafka import Producer
from shared.adapters.sql import Database
from shared.kernel.clock import WallClock
from shared.runtime.feed import StageFeed
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.metrics import StageMetrics
from shared.runtime.process import Process

_DOC = "Validates and identifies messages from HTTP and Kafka."


def build(settings: Settings) -> Process:
    """Puts registrations (SQL), the HTTP door and the Kafka door together."""
    registry = CollectorRegistry()
    health = Health()
    database = Database(settings.database_url, metadata)
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix, "ingestion")
    registrations = SqlRegistry(database)
    datasets = CompiledDatasets(registrations, WallClock())
    stage = stream.stage(datasets, settings.tenant, stream_clock=settings.clock == "stream")
    feed = StageFeed(stage, settings, producer, StageMetrics("ingestion", registry))
    collection = Collection(datasets, KafkaInboundLog(producer), settings.tenant, settings.in_flight_max)
    app = create_api("ingestion", _DOC, health, registry)
    verbs = Registrations(registrations, JsonSchemaCompiler(), lambda: str(uuid4()))
    app.include_router(api.routes(verbs, collection, IngestionMetrics(registry)))
    for name, ping in (("sql", database.ping), ("kafka", producer.ping), ("feed", feed.ping)):
        health.add(name, ping)
    components: list[Service] = [database, producer, feed]
    return Process("ingestion", settings, app, health, components)
