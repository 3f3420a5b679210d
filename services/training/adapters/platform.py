"""Segmentation and the model registry over HTTP, as a run needs them."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from shared.contracts.models import ModelManifest
from shared.contracts.vectors import FeatureSetDefinition
from shared.kernel.errors import Rejected, Retryable

_TIMEOUT_S = 60.0
_ALIAS = "champion"
_MOVES_MAX = 5


class HttpFeatureSets:
    """Implements the recipes' `FeatureSets` by segmentation's API."""

    def __init__(self, segmentation_url: str) -> None:
        self._url = segmentation_url.rstrip("/")

    def get(self, name: str) -> FeatureSetDefinition:
        """Raises Rejected when there is no such set, Retryable when segmentation does not answer."""
        answer = _request("segmentation", lambda client: client.get(f"{self._url}/feature-sets/{name}"))
        if answer.status_code == 404:
            raise Rejected(f"segmentation has no feature set {name!r}; create it with PUT /feature-sets/{name}")
        _expect(answer, "segmentation", 200)
        try:
            return msgspec.json.decode(answer.content, type=FeatureSetDefinition)
        except msgspec.DecodeError as error:
            raise Rejected(f"segmentation's feature set {name!r} is not readable: {error}") from None


class HttpModelRegistry:
    """Implements the recipes' `ModelRegistry` by the registry's API."""

    def __init__(self, registry_url: str) -> None:
        self._url = registry_url.rstrip("/")

    def register(self, manifest: ModelManifest, raw: bytes) -> int:
        """Uploads a version and returns its number; the same file again returns the number it has."""
        files = {
            "manifest": ("manifest.json", msgspec.json.encode(manifest), "application/json"),
            "model": ("model.onnx", raw, "application/octet-stream"),
        }
        url = f"{self._url}/models/{manifest.model}/versions"
        answer = _request("the model registry", lambda client: client.post(url, files=files))
        _expect(answer, "the model registry", 200, 201)
        version: int = answer.json()["version"]
        return version

    def promote(self, model: str, version: int) -> bool:
        """Moves the alias `champion` to a version unless it is on a newer one; tells whether it is there now."""
        url = f"{self._url}/models/{model}/aliases/{_ALIAS}"
        for _ in range(_MOVES_MAX):
            present, revision = self._position(url)
            if present >= version:
                return present == version
            body = {"version": version, "expectedRevision": revision}
            answer = _request("the model registry", lambda client, body=body: client.put(url, json=body))  # type: ignore[misc]
            if answer.status_code != 409:
                _expect(answer, "the model registry", 200)
                return True
        raise Retryable(f"alias {_ALIAS} of model {model} moved under every one of {_MOVES_MAX} attempts")

    @staticmethod
    def _position(url: str) -> tuple[int, int]:
        answer = _request("the model registry", lambda client: client.get(url))
        if answer.status_code == 404:
            return 0, 0
        _expect(answer, "the model registry", 200)
        return answer.json()["version"], answer.json()["revision"]


def _request(who: str, call: Callable[[httpx.Client], httpx.Response]) -> httpx.Response:
    try:
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
            return call(client)
    except httpx.HTTPError as error:
        raise Retryable(f"{who} does not answer: {error!r}") from error


def _expect(answer: httpx.Response, who: str, *statuses: int) -> None:
    if answer.status_code in statuses:
        return
    words = _detail(answer)
    if answer.status_code >= 500:
        raise Retryable(f"{who} answered {answer.status_code}: {words}")
    raise Rejected(f"{who} refused with {answer.status_code}: {words}")


def _detail(answer: httpx.Response) -> str:
    try:
        body: Any = answer.json()
    except ValueError:
        return answer.text[:300]
    return str(body.get("detail", body))[:1000] if isinstance(body, dict) else str(body)[:300]
