"""The hot routes, answered in front of FastAPI: Open Inference v2 and predictions by identity.

Rules here: no framework, no per-request label lookup, no logging of requests, no task per request, the body bounded
while it is read, and an answer for every error.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from services.edge_inference.handlers import Admission, Edge
from services.edge_inference.metrics import Metrics, RouteMetrics
from shared.kernel.errors import Reason, Rejected, Retryable
from shared.runtime.logging import get_logger

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_INFER_PREFIX, _INFER_SUFFIX = "/v2/models/", "/infer"
_PREDICT_PREFIX = "/predict/"
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_RETRY_AFTER = (b"retry-after", b"1")
_STATUS = {
    Reason.NOT_FOUND: (404, "not_found"),
    Reason.TOO_BIG: (413, "invalid"),
    Reason.MODEL: (409, "unavailable"),
    Reason.NON_FINITE: (500, "failed"),
}
_TITLES = {400: "Invalid request", 404: "Not found", 409: "Features do not match", 413: "Too big", 503: "Not now"}

_encode = msgspec.json.Encoder().encode


class _Disconnected(Exception):
    pass


class HotRoutes:
    """An ASGI application that answers the hot routes itself and hands everything else to `app`."""

    def __init__(self, app: App, edge: Edge, admission: Admission, metrics: Metrics, body_bytes_max: int) -> None:
        self._app = app
        self._edge = edge
        self._admission = admission
        self._metrics = metrics
        self._body_bytes_max = body_bytes_max
        self._log = get_logger("edge")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            if path.startswith(_INFER_PREFIX) and path.endswith(_INFER_SUFFIX):
                return await self._answer(self._infer, _oip_error, self._metrics.infer, path, receive, send)
            if path.startswith(_PREDICT_PREFIX):
                return await self._answer(self._predict, _problem, self._metrics.predict, path, receive, send)
        return await self._app(scope, receive, send)

    async def _answer(
        self,
        work: Callable[[str, bytes], Awaitable[Any]],
        render_error: Callable[[int, str], tuple[Any, tuple[bytes, bytes]]],
        metrics: RouteMetrics,
        path: str,
        receive: Receive,
        send: Send,
    ) -> None:
        started = time.perf_counter()
        if not self._admission.enter():
            body, kind = render_error(503, "too many requests are being worked on; send this one again in a second")
            metrics.outcomes["shed"].inc()
            return await _send(send, 503, _encode(body), kind)
        try:
            answer = _encode(await work(path, await self._read(receive)))
            status, outcome, kind = 200, "answered", _JSON
        except _Disconnected:
            return None
        except Exception as error:
            status, outcome = self._judge(error)
            body, kind = render_error(status, _words(error))
            answer = _encode(body)
        finally:
            self._admission.leave()
        metrics.outcomes[outcome].inc()
        await _send(send, status, answer, kind)
        metrics.duration.observe(time.perf_counter() - started)
        return None

    async def _infer(self, path: str, body: bytes) -> Any:
        parts = path[len(_INFER_PREFIX) : -len(_INFER_SUFFIX)].split("/")
        if len(parts) == 1:
            return await self._edge.infer(parts[0], None, body)
        if len(parts) == 3 and parts[1] == "versions":
            return await self._edge.infer(parts[0], parts[2], body)
        raise Rejected(f"there is no route {path}; ask /v2/models/NAME[/versions/V]/infer", Reason.NOT_FOUND)

    async def _predict(self, path: str, body: bytes) -> Any:
        return await self._edge.predict(path[len(_PREDICT_PREFIX) :], body)

    async def _read(self, receive: Receive) -> bytes:
        """Reads the body, giving up as soon as it is too long, whatever its length was announced to be."""
        message = await receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body") and len(body) <= self._body_bytes_max:
            return body
        chunks, size = [body], len(body)
        while message["type"] == "http.request":
            if size > self._body_bytes_max:
                raise Rejected(f"the body has more than {self._body_bytes_max} bytes", Reason.TOO_BIG)
            if not message.get("more_body"):
                return b"".join(chunks)
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        raise _Disconnected

    def _judge(self, error: Exception) -> tuple[int, str]:
        if isinstance(error, Rejected):
            return _STATUS.get(error.reason, (400, "invalid"))
        if isinstance(error, Retryable):
            return 503, "unavailable"
        self._log.error("request_failed", exc_info=error)
        return 500, "failed"


def _words(error: Exception) -> str:
    if isinstance(error, Rejected):
        return error.message
    if isinstance(error, Retryable):
        return f"{error}; send the same request again"
    return "the request could not be answered; the log of this process says why"


def _oip_error(_: int, words: str) -> tuple[Any, tuple[bytes, bytes]]:
    return {"error": words}, _JSON


def _problem(status: int, words: str) -> tuple[Any, tuple[bytes, bytes]]:
    title = _TITLES.get(status, "Failed")
    return {"type": "about:blank", "status": status, "title": title, "detail": words}, _PROBLEM


async def _send(send: Send, status: int, body: bytes, kind: tuple[bytes, bytes]) -> None:
    headers = [kind, (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append(_RETRY_AFTER)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
