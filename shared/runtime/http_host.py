"""The HTTP side of a process: FastAPI with health, metrics and one table from errors to status codes."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared.kernel.errors import FreshetError, Reason, Rejected, Retryable
from shared.runtime.health import Health
from shared.runtime.metrics import HealthMetrics
from shared.runtime.settings import ServiceSettings

_STATUS_BY_REASON = {
    Reason.NOT_FOUND: 404,
    Reason.CONFLICT: 409,
    Reason.TOO_BIG: 413,
    Reason.UNKNOWN_DATASET: 404,
    Reason.EXPRESSION: 422,
    Reason.MODEL: 422,
}
_RETRY_AFTER_S = 2


def problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """An RFC 9457 problem document."""
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if status == 503 else None
    body = {"type": "about:blank", "status": status, "title": title, "detail": detail, **more}
    return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")


def status_of(error: FreshetError) -> int:
    """Returns the HTTP status of a domain error: the one table for all services."""
    if isinstance(error, Rejected):
        return _STATUS_BY_REASON.get(error.reason, 400)
    return 503 if isinstance(error, Retryable) else 500


def refusal(error: Rejected | Retryable) -> JSONResponse:
    """Returns the answer to a request that was refused for good or for now."""
    if isinstance(error, Retryable):
        return problem(503, "Not now", f"{error}; send the same request again later")
    title = error.reason.replace("_", " ").capitalize()
    return problem(status_of(error), title, str(error), reason=error.reason, **error.details())


def create_api(service: str, doc: str, health: Health, registry: CollectorRegistry) -> FastAPI:
    """Returns a FastAPI application with /livez, /readyz, /metrics and the error table; `api.py` adds the routes.

    `/openapi.json` describes them; there is no page for it, because the usual one is fetched from elsewhere.
    """
    api = FastAPI(title=f"Freshet {service}", description=doc, docs_url=None, redoc_url=None)
    _add_observability(api, health, registry)
    _add_error_table(api)
    return api


def _add_observability(api: FastAPI, health: Health, registry: CollectorRegistry) -> None:
    told = HealthMetrics(registry)

    @api.get("/livez", tags=["health"])
    async def livez() -> dict[str, str]:
        """The event loop turns."""
        return {"status": "ok"}

    @api.get("/readyz", tags=["health"])
    async def readyz() -> JSONResponse:
        """Every dependency answers; the body names each."""
        ready, checks = await health.check()
        return JSONResponse({"ready": ready, "checks": checks}, status_code=200 if ready else 503)

    @api.get("/metrics", tags=["health"])
    async def metrics() -> Response:
        """Prometheus metrics; each scrape asks the dependencies, so that readiness has a history."""
        told.note(*await health.check(), len(asyncio.all_tasks()))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_error_table(api: FastAPI) -> None:
    @api.exception_handler(Rejected)
    async def rejected(_: Request, error: Rejected) -> JSONResponse:
        return refusal(error)

    @api.exception_handler(Retryable)
    async def retryable(_: Request, error: Retryable) -> JSONResponse:
        return refusal(error)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        fields = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()]
        detail = "; ".join(f"{f['field']}: {f['message']}" for f in fields)
        return problem(422, "The request does not have the expected shape", detail, errors=fields)


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process host decides when to stop."""

    def __init__(self, app: Any, settings: ServiceSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                loop="none",
                http="httptools",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nobody asks for a client's address
                timeout_graceful_shutdown=5,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
