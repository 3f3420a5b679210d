"""The edge's verbs: infer from given rows, predict for a person. A request keeps the version it started with."""

import asyncio
from typing import cast

import numpy as np

from services.edge_inference.domain.inference import InferResponse, answer, is_probability, parse_request, rows_of
from services.edge_inference.domain.prediction import Prediction, person_of, predict
from services.edge_inference.domain.prediction import parse_request as parse_prediction
from services.edge_inference.ports import Matrix, Models, Served, Telemetry, Vectors
from shared.features.packing import unpack
from shared.kernel.errors import Reason, Rejected, Retryable

_Waiting = tuple[Served, Matrix, "asyncio.Future[Matrix]"]


class Admission:
    """Counts requests in flight and refuses those beyond the limit, so that overload cannot queue."""

    def __init__(self, in_flight_max: int) -> None:
        self.in_flight = 0
        self._in_flight_max = in_flight_max

    def enter(self) -> bool:
        """Admits a request, which must `leave` again, or returns False."""
        if self.in_flight >= self._in_flight_max:
            return False
        self.in_flight += 1
        return True

    def leave(self) -> None:
        self.in_flight -= 1


class Batcher:
    """Runs models. Requests that became readable in the same pass of the event loop share one run, without a timer:
    alone, a request runs at once."""

    def __init__(self, admission: Admission, telemetry: Telemetry, inline_rows_max: int) -> None:
        self._admission = admission
        self._telemetry = telemetry
        self._inline_rows_max = inline_rows_max
        self._waiting: list[_Waiting] = []

    async def run(self, served: Served, rows: Matrix) -> Matrix:
        """Returns the probabilities float32[N, 2] of `rows`."""
        if len(rows) > self._inline_rows_max:
            self._telemetry.ran(1, len(rows))
            return await asyncio.to_thread(served.model.run, rows)
        if self._admission.in_flight <= 1:
            self._telemetry.ran(1, len(rows))
            return served.model.run(rows)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Matrix] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((served, rows, future))
        return await future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        while waiting:
            served, taken, rows = waiting[0][0], 0, 0
            # One run holds requests of one version, in order, up to the rows that may block the loop.
            for other, matrix, _ in waiting:
                if other is not served or (taken and rows + len(matrix) > self._inline_rows_max):
                    break
                taken, rows = taken + 1, rows + len(matrix)
            self._run_together(served, waiting[:taken], rows)
            waiting = waiting[taken:]

    def _run_together(self, served: Served, group: list[_Waiting], rows: int) -> None:
        self._telemetry.ran(len(group), rows)
        try:
            matrices = [matrix for _, matrix, _ in group]
            result = served.model.run(np.concatenate(matrices) if len(matrices) > 1 else matrices[0])
        except Exception as error:  # whoever waits must hear of it
            for _, _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for _, matrix, future in group:
            end = start + len(matrix)
            if not future.done():
                future.set_result(result[start:end])
            start = end


class Edge:
    """Answers inference and prediction requests."""

    def __init__(self, models: Models, vectors: Vectors, batcher: Batcher, tenant: str, rows_max: int) -> None:
        self._models = models
        self._vectors = vectors
        self._batcher = batcher
        self._tenant = tenant
        self._rows_max = rows_max

    def served(self, model: str, version: str | None = None) -> Served:
        """Returns the version being served. Raises Rejected (`not_found`) when it is not the one asked for."""
        found = self._models.served.get(model)
        if found is None:
            if model in self._models.pending:
                raise Retryable(f"the champion of model {model!r} is known but not loaded yet")
            names = ", ".join(sorted(self._models.served)) or "none"
            raise Rejected(f"model {model!r} has no champion here; served are: {names}", Reason.NOT_FOUND)
        if version is not None and version != str(found.event.version):
            raise Rejected(
                f"model {model!r} is served in version {found.event.version}, not {version!r}; "
                "leave the version out, or move the alias",
                Reason.NOT_FOUND,
            )
        return found

    async def infer(self, model: str, version: str | None, body: bytes) -> InferResponse:
        """Answers an Open Inference v2 request."""
        served = self.served(model, version)
        request = parse_request(body)
        rows = rows_of(request, served.event.manifest, self._rows_max)
        return answer(served.event, await self._batcher.run(served, rows), request.id)

    async def predict(self, model: str, body: bytes) -> Prediction:
        """Answers for one person, with the features as the profile store has them."""
        request = parse_prediction(body)
        served = self.served(model)
        manifest, person = served.event.manifest, person_of(request, self._tenant)
        raw = await self._vectors.get(manifest.feature_set, person)
        as_of: int | None = None
        if raw is not None:
            vector = unpack(raw, manifest.feature_set_hash)
            rows, as_of = np.frombuffer(vector.payload, dtype="<f4").reshape(1, -1), vector.as_of
        elif request.on_missing == "default":
            rows = np.array([manifest.defaults], dtype=np.float32)
        else:
            raise Rejected(
                f"there are no features of set {manifest.feature_set!r} for this person yet; "
                'send an event first, or ask with "onMissing": "default"',
                Reason.NOT_FOUND,
            )
        probabilities = await self._batcher.run(served, cast(Matrix, rows))
        score = float(probabilities[0, -1])
        if not is_probability(score):
            raise Rejected(f"model {model} answered {score}, which is not a probability", Reason.NON_FINITE)
        return predict(served.event, person, score, as_of)

    def ready(self) -> str:
        """Returns an empty string when every champion that is known can answer, otherwise what is missing.

        With Kafka down a model kept from an earlier run is enough. A system without champions is ready too.
        """
        if self._models.pending and not self._models.served:
            return f"champions not loaded yet: {', '.join(sorted(self._models.pending))}"
        if not self._models.served and not self._models.caught_up:
            return "no model kept from an earlier run, and model events cannot be read yet"
        return ""
