"""The registry over HTTP: upload, read, promote, download."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from services.model_registry.domain import Alias, Version
from services.model_registry.errors import AliasConflict
from services.model_registry.handlers import Registry
from services.model_registry.metrics import Metrics
from shared.contracts.models import ModelManifest
from shared.kernel.clock import format_instant
from shared.kernel.errors import Reason, Rejected
from shared.runtime.http_host import problem

_FORM_BYTES_BESIDE_MODEL = 1024 * 1024
_PARTS = {"manifest": "the manifest as JSON", "model": "the ONNX file"}


class AliasMove(BaseModel):
    """Where an alias shall point, and the revision it must still have (0: it must not exist yet)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    version: int = Field(ge=1)
    expected_revision: int = Field(ge=0)


def add_routes(api: FastAPI, registry: Registry, metrics: Metrics, artifact_bytes_max: int) -> None:
    """Adds all routes of the registry to `api`."""
    _add_versions(api, registry, artifact_bytes_max)
    _add_aliases(api, registry)
    _add_artifacts(api, registry, metrics)


def _add_versions(api: FastAPI, registry: Registry, artifact_bytes_max: int) -> None:
    @api.post("/models/{name}/versions", tags=["versions"], status_code=201)
    async def register(name: str, request: Request) -> JSONResponse:
        """Multipart with `manifest` (JSON) and `model` (ONNX file). 201 when new, 200 when this file is known."""
        manifest, raw = await _read_upload(request, artifact_bytes_max)
        version, created = await registry.register(name, manifest, raw)
        return JSONResponse(
            render_version(version),
            status_code=201 if created else 200,
            headers={"Location": f"/models/{name}/versions/{version.version}"},
        )

    @api.get("/models", tags=["versions"])
    async def models() -> dict[str, Any]:
        """The names of all models."""
        return {"models": [{"name": name} for name in await registry.models()]}

    @api.get("/models/{name}", tags=["versions"])
    async def model(name: str) -> dict[str, Any]:
        """A model's versions, oldest first, and where its aliases point."""
        versions, aliases = await registry.model(name)
        return {
            "name": name,
            "versions": [render_version(version) for version in versions],
            "aliases": {alias.alias: render_alias(alias) for alias in aliases},
        }

    @api.get("/models/{name}/versions/{version}", tags=["versions"])
    async def version(name: str, version: int) -> dict[str, Any]:
        """One version with its manifest."""
        return render_version(await registry.version(name, version))


def _add_aliases(api: FastAPI, registry: Registry) -> None:
    @api.put("/models/{name}/aliases/{alias}", tags=["aliases"])
    async def move(name: str, alias: str, body: AliasMove) -> dict[str, Any]:
        """Moves an alias by compare-and-set; 409 tells the present revision when it has moved meanwhile."""
        return render_alias(await registry.promote(name, alias, body.version, body.expected_revision))

    @api.get("/models/{name}/aliases/{alias}", tags=["aliases"])
    async def read(name: str, alias: str) -> dict[str, Any]:
        """Where the alias points now."""
        return render_alias(await registry.alias(name, alias))

    @api.get("/models/{name}/aliases/{alias}/history", tags=["aliases"])
    async def history(name: str, alias: str) -> dict[str, Any]:
        """Every position the alias has had, oldest first."""
        return {"history": [render_alias(position) for position in await registry.history(name, alias)]}

    @api.exception_handler(AliasConflict)
    async def conflict(_: Request, error: AliasConflict) -> JSONResponse:
        return problem(
            409,
            "Conflict",
            error.message,
            reason=str(error.reason),
            presentRevision=error.present_revision,
            presentVersion=error.present_version,
        )


def _add_artifacts(api: FastAPI, registry: Registry, metrics: Metrics) -> None:
    @api.get("/artifacts/{digest}", tags=["artifacts"])
    async def artifact(digest: str, request: Request) -> Response:
        """A model file by its SHA-256; the digest is verified on every read."""
        try:
            raw = await registry.artifact(digest)
        except Rejected:
            metrics.artifact_reads.labels("refused").inc()
            raise
        headers = {"ETag": f'"{digest}"', "Cache-Control": "public, max-age=31536000, immutable"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            metrics.artifact_reads.labels("not_modified").inc()
            return Response(status_code=304, headers=headers)
        metrics.artifact_reads.labels("served").inc()
        return Response(raw, media_type="application/octet-stream", headers=headers)


async def _read_upload(request: Request, artifact_bytes_max: int) -> tuple[ModelManifest, bytes]:
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        raise Rejected("an upload needs a Content-Length; send the form with a known size")
    if int(length) > artifact_bytes_max + _FORM_BYTES_BESIDE_MODEL:
        raise Rejected(f"the upload has {length} bytes; a model may have {artifact_bytes_max}", Reason.TOO_BIG)
    try:
        async with request.form(max_files=2, max_fields=2, max_part_size=_FORM_BYTES_BESIDE_MODEL) as form:
            manifest, model = [await _part(form.get(name), name) for name in ("manifest", "model")]
    except MultiPartException as error:
        raise Rejected(f"the upload is not a readable multipart form: {error.message}") from None
    if len(model) > artifact_bytes_max:
        raise Rejected(f"the model has {len(model)} bytes; it may have {artifact_bytes_max}", Reason.TOO_BIG)
    try:
        return msgspec.json.decode(manifest, type=ModelManifest), model
    except msgspec.DecodeError as error:
        raise Rejected(f"the manifest is not a model manifest: {error}", Reason.MODEL) from None


async def _part(part: UploadFile | str | None, name: str) -> bytes:
    if part is None:
        raise Rejected(f"the form lacks the part {name!r}, {_PARTS[name]}")
    return part.encode() if isinstance(part, str) else await part.read()


def render_version(version: Version) -> dict[str, Any]:
    """A version as JSON."""
    return {
        "model": version.model,
        "version": version.version,
        "digest": version.digest,
        "createdAt": format_instant(version.created_at),
        "manifest": msgspec.to_builtins(version.manifest),
    }


def render_alias(alias: Alias) -> dict[str, Any]:
    """An alias as JSON."""
    return {
        "model": alias.model,
        "alias": alias.alias,
        "version": alias.version,
        "revision": alias.revision,
        "movedAt": format_instant(alias.moved_at),
    }
