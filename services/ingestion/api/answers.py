"""What senders are answered, in the reference platform's shapes, and how `/openapi.json` describes it."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from services.ingestion.errors import InvalidMessageError
from services.ingestion.handlers.collection import Outcome
from services.ingestion.ports import Durable
from shared.kernel.errors import Rejected, Retryable
from shared.runtime.http_host import problem, refusal, status_of

INVALID_TITLE = "Invalid XDM Message Format"

_SINGLE = "Takes one message. 200 once it is durable; 400 with a report per field; 503: send the same again."
_BATCH = "Takes up to 1,000 messages, each by itself: 207 with one response per message, in order."


def describe(api: FastAPI) -> None:
    """Adds the data plane to the description: its routes are answered in front of FastAPI, which does not know them."""
    generated = api.openapi

    def described() -> dict[str, Any]:
        document = generated()
        document["paths"] |= {
            "/collection/{connection_id}": {"post": _operation("collect", _SINGLE, "200")},
            "/collection/batch/{connection_id}": {"post": _operation("collect_batch", _BATCH, "207")},
        }
        return document

    api.openapi = described  # type: ignore[method-assign]


def _operation(name: str, summary: str, status: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    where = {"name": "connection_id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "tags": ["collection"],
        "operationId": name,
        "summary": summary,
        "parameters": [where],
        "requestBody": {"required": True, "content": content},
        "responses": {status: {"description": "Durable", "content": content}},
    }


def receipt(connection_id: str, durable: Durable) -> dict[str, Any]:
    """The answer to one message that is durable."""
    return {
        "inletId": connection_id,
        "xactionId": _xaction_id(durable),
        "receivedTimeMs": durable.timestamp_ms,
        "syncValidation": {"skipped": False, "status": "pass"},
    }


def batch_receipt(connection_id: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The answer to a batch: one part per message, in order."""
    now_ms = time.time_ns() // 1_000_000
    return {
        "inletId": connection_id,
        "batchId": uuid4().hex,
        "receivedTimeMs": max((o.timestamp_ms for o in outcomes if isinstance(o, Durable)), default=now_ms),
        "responses": [_part(outcome) for outcome in outcomes],
    }


def told(error: Rejected | Retryable) -> JSONResponse:
    """The answer to a request that was refused; a message that breaks its schema gets a report per field."""
    if isinstance(error, InvalidMessageError):
        return problem(400, INVALID_TITLE, error.message, reason=error.reason, report=_report(error))
    return refusal(error)


def _part(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Durable):
        return {"xactionId": _xaction_id(outcome)}
    if isinstance(outcome, Retryable):
        return {"statusCode": 503, "message": f"{outcome}; send the same message again later"}
    part: dict[str, Any] = {"statusCode": status_of(outcome), "message": outcome.message, "reason": outcome.reason}
    if isinstance(outcome, InvalidMessageError):
        part["report"] = _report(outcome)
    return part


def _report(error: InvalidMessageError) -> dict[str, Any]:
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


def _xaction_id(durable: Durable) -> str:
    return f"{durable.timestamp_ms}:{durable.partition}:{durable.offset}"
