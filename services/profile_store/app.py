"""Builds the profile store's process: the only place where its parts meet."""

from mode import Service
from prometheus_client import CollectorRegistry

from services.profile_store import api, stream
from services.profile_store.adapters.members import RedisMembers
from services.profile_store.adapters.profiles import RedisProfiles
from services.profile_store.domain.state import ProfileState
from services.profile_store.handlers import Lookups
from services.profile_store.metrics import ProfileStoreMetrics
from services.profile_store.settings import Settings
from shared.adapters.kafka import KafkaAccess, Producer
from shared.adapters.redis import RedisClient
from shared.contracts.updates import ProfileUpdate
from shared.runtime.context import Limits
from shared.runtime.feed import StageFeed
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.metrics import StageMetrics
from shared.runtime.process import Process
from shared.runtime.stage import Stage

_DOC = "Keeps the union view of every profile and answers lookups."


async def rebuild_stage(_kafka: str | KafkaAccess, _prefix: str) -> Stage[ProfileUpdate, ProfileState]:
    """Returns the stage as `freshet state rebuild` runs it."""
    return stream.stage()


def build(settings: Settings) -> Process:
    """Puts the stage (Kafka to Redis) and the lookups (Redis to HTTP) together."""
    registry = CollectorRegistry()
    metrics = ProfileStoreMetrics(registry)
    producer = Producer(settings.kafka_access, settings.topic_prefix, "profile_store")
    redis = RedisClient(settings.redis_url, durable=True)
    limits = Limits(states_cached_max=settings.states_cached_max)
    stage = stream.stage(metrics.report)
    feed = StageFeed(stage, settings, producer, StageMetrics("profile_store", registry), redis, limits)
    namespace = settings.redis_namespace
    lookups = Lookups(RedisProfiles(redis, namespace), RedisMembers(redis, namespace), settings.tenant)
    health = Health()
    for name, ping in (("kafka", producer.ping), ("redis", redis.ping), ("feed", feed.ping)):
        health.add(name, ping)
    app = create_api("profile_store", _DOC, health, registry)
    app.include_router(api.routes(lookups, metrics))
    components: list[Service] = [producer, redis, feed]
    return Process("profile_store", settings, app, health, components)
