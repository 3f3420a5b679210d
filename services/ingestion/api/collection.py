"""HTTP door of the data plane, in the reference platform's shapes (`/collection`)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from services.ingestion.api.body import Admission
from services.ingestion.errors import InvalidMessageError
from services.ingestion.handlers.collection import (
    BATCH_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    CollectionHandlers,
    Outcome,
)
from services.ingestion.metrics import IngestionMetrics
from services.ingestion.ports import Durable
from shared.contracts.codec import encode
from shared.contracts.headers import TRACEPARENT, Headers
from shared.kernel.errors import Rejected, Retryable
from shared.runtime.http_host import problem, status_of

INVALID_TITLE = "Invalid XDM Message Format"


def add_error_table(api: FastAPI) -> None:
    """Has a message that breaks its schema answered with a report per field."""

    @api.exception_handler(InvalidMessageError)
    async def invalid(_: Request, error: InvalidMessageError) -> JSONResponse:
        return problem(400, INVALID_TITLE, error.message, reason=error.reason, report=report_of(error))


def routes(handlers: CollectionHandlers, admission: Admission, metrics: IngestionMetrics) -> APIRouter:
    router = APIRouter(tags=["collection"])
    told = _Told(metrics)
    metrics.in_flight.set_function(lambda: handlers.in_flight)

    @router.post("/collection/{connection_id}")
    async def collect(
        connection_id: str, request: Request, sync_validation: Annotated[bool, Query(alias="syncValidation")] = True
    ) -> Response:
        """Takes one message. 200 once it is durable; 400 with a report per field; 503: send the same again.

        Messages are always validated before they are taken, whatever `syncValidation` says.
        """
        with admission.enter() as share, told.duration("single"):
            try:
                raw = await share.read(request, MESSAGE_BYTES_MAX)
                durable = await handlers.collect(connection_id, raw, _trace(request))
            except (Rejected, Retryable) as error:
                told.outcome(error)
                raise
            told.outcome(durable)
        return _json(200, render_receipt(connection_id, durable))

    @router.post("/collection/batch/{connection_id}", status_code=207)
    async def collect_batch(connection_id: str, request: Request) -> Response:
        """Takes up to 1,000 messages, each by itself: 207 with one response per message, in order."""
        with admission.enter() as share, told.duration("batch"):
            raw = await share.read(request, BATCH_BYTES_MAX)
            outcomes = await handlers.collect_batch(connection_id, raw, _trace(request))
            for outcome in outcomes:
                told.outcome(outcome)
        if all(isinstance(outcome, Retryable) for outcome in outcomes):
            return problem(503, "Not now", f"{outcomes[0]}; send the same batch again later")
        received_ms = max((o.timestamp_ms for o in outcomes if isinstance(o, Durable)), default=_now_ms())
        body = {
            "inletId": connection_id,
            "batchId": uuid4().hex,
            "receivedTimeMs": received_ms,
            "responses": [render_outcome(outcome) for outcome in outcomes],
        }
        return _json(207, body)

    return router


class _Told:
    """What the metrics are told of requests."""

    def __init__(self, metrics: IngestionMetrics) -> None:
        self._metrics = metrics

    @contextmanager
    def duration(self, door: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._metrics.collect_duration.labels(door).observe(time.perf_counter() - started)

    def outcome(self, outcome: Outcome) -> None:
        match outcome:
            case Durable():
                word = "accepted"
            case Rejected():
                word = "invalid"
            case Retryable():
                word = "unconfirmed"
        self._metrics.events.labels(word).inc()


def render_receipt(connection_id: str, durable: Durable) -> dict[str, Any]:
    return {
        "inletId": connection_id,
        "xactionId": xaction_id(durable),
        "receivedTimeMs": durable.timestamp_ms,
        "syncValidation": {"skipped": False, "status": "pass"},
    }


def render_outcome(outcome: Outcome) -> dict[str, Any]:
    """One message's part of a batch's answer."""
    if isinstance(outcome, Durable):
        return {"xactionId": xaction_id(outcome)}
    if isinstance(outcome, Retryable):
        return {"statusCode": 503, "message": f"{outcome}; send the same message again later"}
    part: dict[str, Any] = {"statusCode": status_of(outcome), "message": outcome.message, "reason": outcome.reason}
    if isinstance(outcome, InvalidMessageError):
        part["report"] = report_of(outcome)
    return part


def report_of(error: InvalidMessageError) -> dict[str, Any]:
    """The reference's validation report."""
    validation = [
        {
            "schemaLocation": violation.schema_location,
            "pointerToViolation": "#" + violation.pointer,
            "causingExceptions": [],
            "keyword": violation.keyword,
            "message": violation.message,
        }
        for violation in error.violations
    ]
    return {"message": error.message, "cause": {"_streamingValidation": validation}}


def xaction_id(durable: Durable) -> str:
    return f"{durable.timestamp_ms}:{durable.partition}:{durable.offset}"


def _trace(request: Request) -> Headers:
    value = request.headers.get(TRACEPARENT)
    return ((TRACEPARENT, value.encode()),) if value and len(value) <= 256 else ()


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(encode(body), status_code=status, media_type="application/json")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
