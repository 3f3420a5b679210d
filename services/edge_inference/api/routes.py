"""The edge's routes that are not hot: server and model metadata and health of Open Inference v2."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from services.edge_inference.domain.inference import metadata
from services.edge_inference.handlers import Edge
from shared.kernel.errors import Rejected, Retryable

_VERSION = "0.1.0"


def add_routes(api: FastAPI, edge: Edge) -> None:
    """Adds the protocol's GET routes; its errors have the shape {"error": words}."""
    _add_server(api, edge)
    _add_models(api, edge)


def _add_server(api: FastAPI, edge: Edge) -> None:
    @api.get("/v2", tags=["open inference v2"])
    async def server() -> dict[str, Any]:
        """Name, version and extensions of this server."""
        return {"name": "freshet-edge-inference", "version": _VERSION, "extensions": []}

    @api.get("/v2/health/live", tags=["open inference v2"])
    async def live() -> dict[str, bool]:
        """The event loop turns."""
        return {"live": True}

    @api.get("/v2/health/ready", tags=["open inference v2"])
    async def ready() -> JSONResponse:
        """All known champions can be asked; the protocol wants a 4xx otherwise."""
        missing = edge.ready()
        return JSONResponse({"ready": not missing}, status_code=400 if missing else 200)


def _add_models(api: FastAPI, edge: Edge) -> None:
    def describe(name: str, version: str | None) -> JSONResponse:
        return _told(lambda: metadata(edge.served(name, version).event))

    def tell_ready(name: str, version: str | None) -> JSONResponse:
        return _told(lambda: {"name": edge.served(name, version).event.model, "ready": True})

    @api.get("/v2/models/{name}", tags=["open inference v2"])
    async def model(name: str) -> JSONResponse:
        """What the model takes and gives."""
        return describe(name, None)

    @api.get("/v2/models/{name}/versions/{version}", tags=["open inference v2"])
    async def model_version(name: str, version: str) -> JSONResponse:
        """The same, if this version is the one being served."""
        return describe(name, version)

    @api.get("/v2/models/{name}/ready", tags=["open inference v2"])
    async def model_ready(name: str) -> JSONResponse:
        """The model can be asked."""
        return tell_ready(name, None)

    @api.get("/v2/models/{name}/versions/{version}/ready", tags=["open inference v2"])
    async def version_ready(name: str, version: str) -> JSONResponse:
        """This version can be asked."""
        return tell_ready(name, version)


def _told(answer: Any) -> JSONResponse:
    try:
        return JSONResponse(answer())
    except Rejected as error:
        return JSONResponse({"error": error.message}, status_code=404)
    except Retryable as error:
        return JSONResponse({"error": str(error)}, status_code=503, headers={"Retry-After": "1"})
