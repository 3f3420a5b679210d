"""One client for all services."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from shared.sdk.ingestion import IngestionClient
from shared.sdk.models import EdgeClient, RegistryClient, TrainingClient
from shared.sdk.profiles import ProfilesClient
from shared.sdk.segmentation import SegmentationClient
from shared.sdk.transport import Http

DEFAULT_URLS: Mapping[str, str] = {
    "ingestion": "http://127.0.0.1:8101",
    "segmentation": "http://127.0.0.1:8102",
    "profile_store": "http://127.0.0.1:8103",
    "training": "http://127.0.0.1:8104",
    "model_registry": "http://127.0.0.1:8105",
    "edge_inference": "http://127.0.0.1:8107",
}
"""Where `make up` puts the services that have an API for clients."""


@dataclass(frozen=True)
class Freshet:
    """Clients of all services over one pool of connections. Use as a context manager; blocking, thread-safe."""

    ingestion: IngestionClient
    segmentation: SegmentationClient
    profiles: ProfilesClient
    training: TrainingClient
    registry: RegistryClient
    edge: EdgeClient
    pool: httpx.Client

    @classmethod
    def connect(
        cls, urls: Mapping[str, str] | None = None, patience_s: float = 10.0, client: httpx.Client | None = None
    ) -> Self:
        """`urls` go over the defaults; `patience_s` is how long a service that restarts is waited for."""
        pool = client or httpx.Client(timeout=httpx.Timeout(30.0, connect=2.0))
        known = {**DEFAULT_URLS, **(urls or {})}

        def http(service: str) -> Http:
            return Http(known[service].rstrip("/"), pool, patience_s)

        return cls(
            IngestionClient(http("ingestion")),
            SegmentationClient(http("segmentation")),
            ProfilesClient(http("profile_store")),
            TrainingClient(http("training")),
            RegistryClient(http("model_registry")),
            EdgeClient(http("edge_inference")),
            pool,
        )

    def close(self) -> None:
        self.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
