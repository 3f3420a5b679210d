"""HTTP door of the data plane, answered in front of FastAPI: `POST /collection/{id}` and `/collection/batch/{id}`.

FastAPI, its middlewares and its injection cost more than everything else that is done for a message together. Rules
here: no framework, no metric looked up by label, no task per message, and an answer for every error.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fastapi import HTTPException
from prometheus_client import Counter, Histogram

from services.ingestion.api.answers import batch_receipt, receipt, told
from services.ingestion.api.body import Admission, DisconnectedError, Receive, Share
from services.ingestion.handlers.collection import BATCH_BYTES_MAX, MESSAGE_BYTES_MAX, CollectionHandlers, Outcome
from services.ingestion.metrics import IngestionMetrics
from services.ingestion.ports import Durable
from shared.contracts.codec import encode
from shared.contracts.headers import TRACEPARENT, Headers
from shared.kernel.errors import Rejected, Retryable
from shared.runtime.http_host import problem

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PREFIX = "/collection/"
_BATCH_PREFIX = "/collection/batch/"
_TRACE = TRACEPARENT.encode()
_JSON = (b"content-type", b"application/json")

_Answer = tuple[int, bytes]


class CollectionDoor:
    """An ASGI application that takes messages and hands every other request to `api`.

    Messages are always validated before they are taken, whatever a query's `syncValidation` says.
    """

    def __init__(self, api: App, handlers: CollectionHandlers, admission: Admission, metrics: IngestionMetrics) -> None:
        self._api = api
        self._handlers = handlers
        self._admission = admission
        self._single = metrics.collect_duration.labels("single")
        self._batch = metrics.collect_duration.labels("batch")
        self._outcomes = _Outcomes(metrics)
        metrics.in_flight.set_function(lambda: handlers.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            return await self._api(scope, receive, send)
        path: str = scope["path"]
        if path.startswith(_BATCH_PREFIX):
            connection_id, collect, duration = path[len(_BATCH_PREFIX) :], self._collect_batch, self._batch
        else:
            connection_id, collect, duration = path[len(_PREFIX) :], self._collect, self._single
        if scope["method"] != "POST" or not connection_id or "/" in connection_id:
            return await _refuse_route(scope, receive, send)
        return await self._answer(collect, connection_id, duration, scope, receive, send)

    async def _answer(
        self,
        collect: "Callable[[str, Mapping[bytes, bytes], Receive, Share], Awaitable[_Answer]]",
        connection_id: str,
        duration: Histogram,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        started, share = time.perf_counter(), Share(self._admission)
        try:
            status, body = await collect(connection_id, dict(scope["headers"]), receive, share)
        except DisconnectedError:
            return
        except (Rejected, Retryable) as error:
            await told(error)(scope, receive, send)
        except HTTPException as error:
            await problem(error.status_code, "The body is not taken", str(error.detail))(scope, receive, send)
        else:
            headers = [_JSON, (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            share.leave()
            duration.observe(time.perf_counter() - started)

    async def _collect(
        self, connection_id: str, headers: Mapping[bytes, bytes], receive: Receive, share: Share
    ) -> _Answer:
        try:
            raw = await share.read(headers, receive, MESSAGE_BYTES_MAX)
            durable = await self._handlers.collect(connection_id, raw, _trace(headers))
        except (Rejected, Retryable) as error:
            self._outcomes.count(error)
            raise
        self._outcomes.count(durable)
        return 200, encode(receipt(connection_id, durable))

    async def _collect_batch(
        self, connection_id: str, headers: Mapping[bytes, bytes], receive: Receive, share: Share
    ) -> _Answer:
        raw = await share.read(headers, receive, BATCH_BYTES_MAX)
        outcomes = await self._handlers.collect_batch(connection_id, raw, _trace(headers))
        for outcome in outcomes:
            self._outcomes.count(outcome)
        if all(isinstance(outcome, Retryable) for outcome in outcomes):
            raise Retryable(str(outcomes[0]))
        return 207, encode(batch_receipt(connection_id, outcomes))


class _Outcomes:
    """What the metrics are told of messages."""

    def __init__(self, metrics: IngestionMetrics) -> None:
        self._accepted = metrics.events.labels("accepted")
        self._invalid = metrics.events.labels("invalid")
        self._unconfirmed = metrics.events.labels("unconfirmed")

    def count(self, outcome: Outcome) -> None:
        self._counter(outcome).inc()

    def _counter(self, outcome: Outcome) -> Counter:
        match outcome:
            case Durable():
                return self._accepted
            case Rejected():
                return self._invalid
            case Retryable():
                return self._unconfirmed


def _trace(headers: Mapping[bytes, bytes]) -> Headers:
    value = headers.get(_TRACE)
    return ((TRACEPARENT, value),) if value and len(value) <= 256 else ()


async def _refuse_route(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] != "POST":
        answer = problem(405, "Method not allowed", "messages are sent with POST")
        answer.headers["Allow"] = "POST"
    else:
        answer = problem(404, "Not found", "send to /collection/CONNECTION_ID or /collection/batch/CONNECTION_ID")
    await answer(scope, receive, send)
