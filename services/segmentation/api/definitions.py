"""HTTP door of segment definitions, in the reference platform's shapes (`/ups/segment/definitions`)."""

from typing import Any

from fastapi import APIRouter, Response

from services.segmentation.api.bodies import SegmentBody, SegmentPatch
from services.segmentation.api.readiness import render_readiness
from services.segmentation.domain.readiness import Readiness
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.ports import Ready
from shared.contracts.definitions import SegmentDefinition

PATH = "/ups/segment/definitions"


def routes(handlers: DefinitionHandlers, ready: Ready) -> APIRouter:
    """Returns the routes. `ready` tells how far definitions have been taken up."""
    router = APIRouter(tags=["segments"])

    @router.get(PATH)
    async def list_definitions() -> dict[str, Any]:
        """Lists live segments, by name."""
        readiness = await ready.readiness()
        segments = [render_segment(segment, readiness) for segment in await handlers.list_segments()]
        return {"segments": segments, "page": {"totalCount": len(segments)}}

    @router.post(PATH, status_code=201)
    async def create_definition(body: SegmentBody) -> dict[str, Any]:
        """Defines a segment. 422 with line and column for an expression that does not compile."""
        segment = await handlers.define_segment(body.name, body.expression.text(), body.description, body.id)
        return render_segment(segment, await ready.readiness())

    @router.post(f"{PATH}/validate")
    async def validate_definition(body: SegmentBody) -> dict[str, Any]:
        """Checks a segment without storing it."""
        await handlers.validate_segment(body.name, body.expression.text())
        return {"valid": True}

    @router.get(f"{PATH}/{{segment_id}}")
    async def get_definition(segment_id: str) -> dict[str, Any]:
        """Returns one segment; `readiness` tells whether, or how far, all profiles live under this version."""
        return render_segment(await handlers.get_segment(segment_id), await ready.readiness())

    @router.patch(f"{PATH}/{{segment_id}}")
    async def edit_definition(segment_id: str, body: SegmentPatch) -> dict[str, Any]:
        """Stores a new version of a segment."""
        expression = body.expression.text() if body.expression else None
        segment = await handlers.edit_segment(segment_id, body.name, expression, body.description)
        return render_segment(segment, await ready.readiness())

    @router.delete(f"{PATH}/{{segment_id}}", status_code=204)
    async def remove_definition(segment_id: str) -> Response:
        """Removes a segment; all its members leave it. Refused while others refer to it."""
        await handlers.remove_segment(segment_id)
        return Response(status_code=204)

    return router


def render_segment(segment: SegmentDefinition, readiness: Readiness) -> dict[str, Any]:
    """The reference's definition JSON; times in ms."""
    return {
        "id": segment.id,
        "name": segment.name,
        "description": segment.description,
        "schema": {"name": "_xdm.context.profile"},
        "profileInstanceId": "ups",
        "expression": {"type": "PQL", "format": "pql/text", "value": segment.expression},
        "evaluationInfo": {
            "batch": {"enabled": False},
            "continuous": {"enabled": True},
            "synchronous": {"enabled": False},
        },
        "lifecycleState": "published",
        "version": segment.version,
        "creationTime": segment.created_at // 1000,
        "updateTime": segment.updated_at // 1000,
        "readiness": render_readiness(readiness.of(segment.id, segment.version)),
    }
