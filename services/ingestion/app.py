"""Builds the ingestion process: the only place where its parts meet."""

from prometheus_client import CollectorRegistry

from services.ingestion import stream
from services.ingestion.adapters.catalogue import RegisteredCatalogue
from services.ingestion.adapters.inbound_log import KafkaInboundLog
from services.ingestion.adapters.json_schema import compile_schema
from services.ingestion.adapters.registrations import SqlRegistrations, metadata
from services.ingestion.api import answers, registration
from services.ingestion.api.body import Admission
from services.ingestion.api.collection import CollectionDoor
from services.ingestion.handlers.collection import CollectionHandlers
from services.ingestion.handlers.registration import RegistrationHandlers
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

_DOC = "Takes XDM messages over HTTP and Kafka, validates and identifies them, and keeps one log per person."


def build(settings: Settings) -> Process:
    """Puts registrations (SQL, HTTP), the collection door (HTTP) and the stage (Kafka) together."""
    registry = CollectorRegistry()
    metrics = IngestionMetrics(registry)
    health = Health()
    database = Database(settings.database_url, metadata)
    producer = Producer(settings.kafka_access, settings.topic_prefix, "ingestion")
    registrations = SqlRegistrations(database, settings.tenant)
    catalogue = RegisteredCatalogue(registrations, compile_schema)
    stage = stream.stage(lambda: catalogue.datasets, catalogue.learn, settings.tenant, settings.clock)
    feed = StageFeed(stage, settings, producer, StageMetrics("ingestion", registry))
    api = create_api("ingestion", _DOC, health, registry)
    registering = RegistrationHandlers(registrations, catalogue, compile_schema, WallClock(), settings.tenant)
    api.include_router(registration.routes(registering))
    answers.describe(api)
    collecting = CollectionHandlers(catalogue, KafkaInboundLog(producer), settings.tenant, settings.in_flight_max)
    app = CollectionDoor(api, collecting, Admission(settings, metrics), metrics)
    for name, ping in (("sql", database.ping), ("kafka", producer.ping), ("feed", feed.ping)):
        health.add(name, ping)
    return Process("ingestion", settings, app, health, (database, producer, catalogue, feed))
