"""Where edge inference is put together."""

from prometheus_client import CollectorRegistry

from services.edge_inference.adapters.bundles import BundleKeeper
from services.edge_inference.adapters.vectors import RedisVectors
from services.edge_inference.api.hot import HotRoutes
from services.edge_inference.api.routes import add_routes
from services.edge_inference.handlers import Admission, Batcher, Edge
from services.edge_inference.metrics import Metrics
from services.edge_inference.settings import Settings
from shared.adapters.artifacts import ArtifactClient, ArtifactStore
from shared.adapters.champions import Champions, ServedModel
from shared.adapters.redis import RedisClient
from shared.contracts.models import ModelEvent
from shared.kernel.errors import Retryable
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.process import Process

_DOC = (
    "Predictions at the edge. `POST /v2/models/{name}[/versions/{version}]/infer` speaks Open Inference v2; "
    "`POST /predict/{model}` takes an identity and reads the features itself."
)


def build(settings: Settings) -> Process:
    """Builds the process: bundles, champions, Redis reader, hot routes in front of FastAPI."""
    prometheus = CollectorRegistry()
    metrics = Metrics(prometheus)
    champions = _champions(settings, metrics)
    keeper = BundleKeeper(settings.data_dir / "bundles", lambda served: _seed(champions, metrics, served))
    champions.on_published(lambda served, raw: keeper.keep(served.event, raw))
    redis = RedisClient(settings.redis_url)
    admission = Admission(settings.in_flight_max)
    metrics.in_flight.set_function(lambda: admission.in_flight)
    vectors = RedisVectors(redis, settings.redis_namespace, settings.redis_timeout_ms / 1000)
    batcher = Batcher(admission, metrics, settings.inline_rows_max)
    edge = Edge(champions, vectors, batcher, settings.tenant, settings.rows_max)
    health = Health()
    _add_checks(health, edge, champions, redis)
    api = create_api("edge_inference", _DOC, health, prometheus)
    add_routes(api, edge)
    app = HotRoutes(api, edge, admission, metrics, settings.body_bytes_max)
    return Process("edge_inference", settings, app, health, (keeper, champions, redis))


def _champions(settings: Settings, metrics: Metrics) -> Champions:
    def published(served: ServedModel, _: bytes) -> None:
        _note(metrics, served)
        metrics.swapped("swapped")

    def failed(_: ModelEvent, __: Exception) -> None:
        metrics.swapped("failed")

    champions = Champions(
        settings.kafka_access,
        ArtifactClient(settings.registry_url, ArtifactStore(settings.data_dir / "artifacts")),
        prefix=settings.topic_prefix,
        only=frozenset(settings.models),
    )
    champions.on_published(published)
    champions.on_failed(failed)
    return champions


def _seed(champions: Champions, metrics: Metrics, served: ServedModel) -> None:
    champions.seed(served)
    _note(metrics, served)


def _note(metrics: Metrics, served: ServedModel) -> None:
    event = served.event
    metrics.in_charge(event.model, event.version, event.alias, event.occurred_at)


def _add_checks(health: Health, edge: Edge, champions: Champions, redis: RedisClient) -> None:
    async def models() -> None:
        if missing := edge.ready():
            raise Retryable(missing)

    async def kafka() -> None:
        if not champions.caught_up:
            raise Retryable("model events have not been read since this process started")

    health.add("models", models)
    health.add("kafka", kafka, optional=True)
    health.add("redis", redis.ping, optional=True)
