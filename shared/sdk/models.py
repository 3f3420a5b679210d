"""Models: training runs, the registry, and predictions at the edge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from shared.sdk.transport import Http


@dataclass(frozen=True, slots=True)
class Run:
    """A training run. `state` is PENDING, RUNNING, RETRY, DONE, FAILED or ABORTED; `message` says why or what."""

    id: str
    state: str
    message: str
    metrics: Mapping[str, float]
    model_version: int | None

    @property
    def ended(self) -> bool:
        return self.state in ("DONE", "FAILED", "ABORTED")


@dataclass(frozen=True, slots=True)
class Alias:
    """Where an alias points; `revision` is what moving it must name."""

    model: str
    alias: str
    version: int
    revision: int


@dataclass(frozen=True)
class TrainingClient:
    http: Http

    def request(
        self,
        recipe: str,
        model: str,
        parameters: Mapping[str, Any] | None = None,
        run_id: str = "",
        promote: bool = True,
    ) -> Run:
        """Asks for a run; the same `run_id` never runs twice, so that with one the request may be repeated."""
        body = {
            "recipe": recipe,
            "model": model,
            "parameters": dict(parameters or {}),
            "promote": promote,
            "id": run_id,
        }
        return _run(self.http.post("/runs", body, safe=bool(run_id)))

    def run(self, run_id: str) -> Run:
        return _run(self.http.get(f"/runs/{run_id}"))

    def cancel(self, run_id: str) -> None:
        self.http.delete(f"/runs/{run_id}")


@dataclass(frozen=True)
class RegistryClient:
    http: Http

    def models(self) -> list[str]:
        return [model["name"] for model in self.http.get("/models")["models"]]

    def version(self, model: str, version: int) -> dict[str, Any]:
        """One version with its manifest."""
        found: dict[str, Any] = self.http.get(f"/models/{model}/versions/{version}")
        return found

    def alias(self, model: str, alias: str = "champion") -> Alias:
        """Raises ApiError 404 while the alias points nowhere."""
        return _alias(self.http.get(f"/models/{model}/aliases/{alias}"))

    def move(self, model: str, version: int, expected_revision: int, alias: str = "champion") -> Alias:
        """Moves an alias; raises ApiError 409 when its revision is another."""
        body = {"version": version, "expectedRevision": expected_revision}
        return _alias(self.http.call("PUT", f"/models/{model}/aliases/{alias}", json=body))


@dataclass(frozen=True)
class EdgeClient:
    http: Http

    def predict(self, model: str, namespace: str, value: str) -> dict[str, Any]:
        """Scores a person with the features known of them. Raises ApiError 404 for somebody unknown."""
        body = {"identity": {"namespace": namespace, "id": value}}
        answer: dict[str, Any] = self.http.post(f"/predict/{model}", body, safe=True)
        return answer

    def infer(self, model: str, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Open Inference v2."""
        answer: dict[str, Any] = self.http.post(f"/v2/models/{model}/infer", {"inputs": inputs}, safe=True)
        return answer

    def ready(self, model: str) -> bool:
        """Tells whether the edge can be asked about a model now."""
        try:
            url = f"{self.http.base_url}/v2/models/{model}/ready"
            return self.http.client.get(url).is_success
        except httpx.TransportError:
            return False


def _run(found: Mapping[str, Any]) -> Run:
    metrics = found["metrics"] or {}
    return Run(found["id"], found["state"], found["message"] or "", metrics, found["modelVersion"])


def _alias(found: Mapping[str, Any]) -> Alias:
    return Alias(found["model"], found["alias"], found["version"], found["revision"])
