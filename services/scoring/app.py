"""Where scoring is put together."""

from prometheus_client import CollectorRegistry

from services.scoring import api as http
from services.scoring.handlers import Scoring
from services.scoring.metrics import Metrics
from services.scoring.settings import Settings
from services.scoring.stream import stage
from shared.adapters.artifacts import ArtifactClient, ArtifactStore
from shared.adapters.champions import Champions, ServedModel
from shared.adapters.kafka import Producer
from shared.contracts.models import ModelEvent
from shared.runtime.feed import StageFeed
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.metrics import StageMetrics
from shared.runtime.process import Process

_DOC = "Scores feature vectors with the champion models; scores return to the person's log."


def build(settings: Settings) -> Process:
    """Builds the process: champions, the stage and its feed, HTTP."""
    prometheus = CollectorRegistry()
    metrics = Metrics(prometheus)

    def published(served: ServedModel, _: bytes) -> None:
        metrics.in_charge(served.event.model, served.event.version, served.event.alias)

    def failed(_: ModelEvent, __: Exception) -> None:
        metrics.load_failed()

    champions = Champions(
        settings.kafka_access,
        ArtifactClient(settings.registry_url, ArtifactStore(settings.data_dir)),
        prefix=settings.topic_prefix,
        only=frozenset(settings.models),
    )
    champions.on_published(published)
    champions.on_failed(failed)
    producer = Producer(settings.kafka_access, settings.topic_prefix, "scoring")
    scoring = Scoring(champions, metrics)
    feed = StageFeed(stage(scoring), settings, producer, StageMetrics("scoring", prometheus))
    health = Health()
    health.add("kafka", producer.ping)
    health.add("feed", feed.ping)
    api = create_api("scoring", _DOC, health, prometheus)
    http.add_routes(api, champions)
    return Process("scoring", settings, api, health, (champions, producer, feed))
