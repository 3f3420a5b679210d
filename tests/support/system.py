"""The whole running system, as tests see it: addresses, HTTP, and topics to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.platform import EmbeddedPlatform


@dataclass(frozen=True)
class System:
    platform: EmbeddedPlatform

    def url(self, service: str) -> str:
        """The base URL of a service."""
        return self.platform.settings.url(service)

    @contextmanager
    def http(self, service: str) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.url(service), timeout=10.0) as client:
            yield client

    def get(self, service: str, path: str, **query: Any) -> Any:
        """GETs JSON; fails on an error status with the body in the message."""
        with self.http(service) as client:
            return checked(client.get(path, params=query))

    def post(self, service: str, path: str, body: Any) -> Any:
        with self.http(service) as client:
            return checked(client.post(path, json=body))


def checked(response: httpx.Response) -> Any:
    assert response.is_success, f"{response.request.method} {response.url}: {response.status_code} {response.text}"
    return response.json()
