"""The table of services: what each one is given and what must answer before it starts.

A service refuses to start with a variable under its prefix that it does not know, so only what stands here is set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings

Value = Callable[[LocalSettings, str], str]
"""Gives the value of a variable from the platform's settings and the service's name."""


def _url_of(service: str) -> Value:
    return lambda settings, _: settings.url(service)


VALUES: Mapping[str, Value] = MappingProxyType(
    {
        "HTTP_HOST": lambda settings, _: settings.host,
        "HTTP_PORT": lambda settings, service: str(settings.port(service)),
        "KAFKA_BOOTSTRAP_SERVERS": lambda settings, _: settings.kafka_bootstrap_servers,
        # One process each, so that its name will do; a killed one has its partitions back as soon as it runs again.
        "KAFKA_GROUP_INSTANCE_ID": lambda _, service: service,
        "TOPIC_PREFIX": lambda settings, _: settings.topic_prefix,
        "REDIS_URL": lambda settings, _: settings.redis_url,
        "DATABASE_URL": lambda settings, name: f"sqlite+aiosqlite:///{Layout(settings.home).sql / name}.db",
        "CLOCK": lambda settings, _: settings.clock,
        "DATA_DIR": lambda settings, name: str(settings.home / name),
        "INGESTION_URL": _url_of("ingestion"),
        "SEGMENTATION_URL": _url_of("segmentation"),
        "REGISTRY_URL": _url_of("model_registry"),
    }
)
"""Every variable a service may be given, without its prefix."""


@dataclass(frozen=True)
class Service:
    """One process `python -m services.<name>`.

    `needs` are programs that must answer before it is started; `variables` are keys of `VALUES`.
    """

    name: str
    needs: tuple[str, ...]
    variables: tuple[str, ...]

    @property
    def prefix(self) -> str:
        return f"FRESHET_{self.name.upper()}_"

    def environment(self, settings: LocalSettings) -> dict[str, str]:
        """Returns the variables of the service's process with their full names."""
        return {self.prefix + variable: VALUES[variable](settings, self.name) for variable in self.variables}


_HTTP = ("HTTP_HOST", "HTTP_PORT")
_KAFKA = ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_GROUP_INSTANCE_ID", "TOPIC_PREFIX")

SERVICES: tuple[Service, ...] = (
    Service("ingestion", ("kafka",), (*_HTTP, *_KAFKA, "DATABASE_URL", "CLOCK")),
    Service(
        "segmentation",
        ("kafka", "redis", "ingestion"),
        (*_HTTP, *_KAFKA, "REDIS_URL", "DATABASE_URL", "CLOCK", "INGESTION_URL"),
    ),
    Service("profile_store", ("kafka", "redis"), (*_HTTP, *_KAFKA, "REDIS_URL", "CLOCK")),
    Service("model_registry", ("kafka",), (*_HTTP, *_KAFKA, "DATABASE_URL", "DATA_DIR")),
    Service(
        "training",
        ("kafka", "model_registry", "segmentation"),
        (*_HTTP, *_KAFKA, "DATABASE_URL", "DATA_DIR", "REGISTRY_URL", "SEGMENTATION_URL"),
    ),
    Service("scoring", ("kafka", "redis"), (*_HTTP, *_KAFKA, "REDIS_URL", "CLOCK", "DATA_DIR", "REGISTRY_URL")),
    # The edge starts and serves with everything else down, so it waits for nothing.
    Service("edge_inference", (), (*_HTTP, *_KAFKA, "REDIS_URL", "DATA_DIR", "REGISTRY_URL")),
)

BY_NAME: Mapping[str, Service] = MappingProxyType({service.name: service for service in SERVICES})


def address(program: str, settings: LocalSettings) -> str:
    """Returns the address that answers once `kafka`, `redis` or a service is ready."""
    match program:
        case "kafka":
            return f"kafka://{settings.kafka_bootstrap_servers}"
        case "redis":
            return f"redis://{settings.host}:{settings.redis_port}"
        case service:
            return settings.url(service) + "/readyz"
