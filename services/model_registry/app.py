"""Where the model registry is put together."""

from prometheus_client import CollectorRegistry

from services.model_registry import api as http
from services.model_registry import jobs
from services.model_registry.adapters.artifacts import DiskArtifacts
from services.model_registry.adapters.events import OutboxEvents
from services.model_registry.adapters.inspection import ProcessInspector
from services.model_registry.adapters.versions import METADATA, OUTBOX, SqlVersions
from services.model_registry.handlers import Registry
from services.model_registry.metrics import Metrics
from services.model_registry.settings import Settings
from shared.adapters.artifacts import ArtifactStore
from shared.adapters.kafka import Producer
from shared.adapters.sql import Database, Outbox
from shared.contracts.topics import MODEL_EVENTS
from shared.kernel.clock import WallClock
from shared.runtime.control import ControlHost, control_app
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.process import Process

_DOC = "Immutable model versions, movable aliases, content-addressed model files."


def build(settings: Settings) -> Process:
    """Builds the process: database, producer, outbox timer, HTTP."""
    prometheus = CollectorRegistry()
    metrics = Metrics(prometheus)
    database = Database(settings.database_url, METADATA)
    producer = Producer(settings.kafka_access, settings.topic_prefix, "model_registry")
    outbox = Outbox(database, OUTBOX, (MODEL_EVENTS,))
    events = OutboxEvents(outbox, producer)
    registry = Registry(
        versions=SqlVersions(database, outbox),
        artifacts=DiskArtifacts(ArtifactStore(settings.data_dir)),
        inspector=ProcessInspector(settings.check_memory_mb_max, settings.check_s_max, settings.allow_control_flow),
        events=events,
        telemetry=metrics,
        clock=WallClock(),
    )
    control = control_app("model_registry", settings)
    jobs.attach(control, events.nudge, settings.outbox_interval_s)
    health = Health()
    health.add("database", database.ping)
    health.add("kafka", producer.ping)
    api = create_api("model_registry", _DOC, health, prometheus)
    http.add_routes(api, registry, metrics, settings.artifact_bytes_max)
    components = (database, producer, ControlHost(control, consumes=False))
    return Process("model_registry", settings, api, health, components)
