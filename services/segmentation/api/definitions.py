"""HTTP door of segment definitions, in the reference platform's shapes (`/ups/segment/definitions`)."""

from typing import Any

from fastapi import APIRouter, Response

from services.segmentation.api.bodies import SegmentBody, SegmentPatch
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.ports import Applied
from shared.contracts.definitions import SegmentDefinition

PATH = "/ups/segment/definitions"


def routes(handlers: DefinitionHandlers, applied: Applied) -> APIRouter:
    """Returns the routes. `applied` tells what the worker of this process runs already."""
    router = APIRouter(tags=["segments"])

    @router.get(PATH)
    async def list_definitions() -> dict[str, Any]:
        """Lists live segments, by name."""
        segments = [render_segment(s, applied) for s in await handlers.list_segments()]
        return {"segments": segments, "page": {"totalCount": len(segments)}}

    @router.post(PATH, status_code=201)
    async def create_definition(body: SegmentBody) -> dict[str, Any]:
        """Defines a segment. 422 with line and column for an expression that does not compile."""
        segment = await handlers.define_segment(body.name, body.expression.text(), body.description, body.id)
        return render_segment(segment, applied)

    @router.post(f"{PATH}/validate")
    async def validate_definition(body: SegmentBody) -> dict[str, Any]:
        """Checks a segment without storing it."""
        await handlers.validate_segment(body.name, body.expression.text())
        return {"valid": True}

    @router.get(f"{PATH}/{{segment_id}}")
    async def get_definition(segment_id: str) -> dict[str, Any]:
        """Returns one segment; `readiness` tells whether the worker of this process runs this version."""
        return render_segment(await handlers.get_segment(segment_id), applied)

    @router.patch(f"{PATH}/{{segment_id}}")
    async def edit_definition(segment_id: str, body: SegmentPatch) -> dict[str, Any]:
        """Stores a new version of a segment."""
        expression = body.expression.text() if body.expression else None
        return render_segment(await handlers.edit_segment(segment_id, body.name, expression, body.description), applied)

    @router.delete(f"{PATH}/{{segment_id}}", status_code=204)
    async def remove_definition(segment_id: str) -> Response:
        """Removes a segment; refused while others refer to it."""
        await handlers.remove_segment(segment_id)
        return Response(status_code=204)

    return router


def render_segment(segment: SegmentDefinition, applied: Applied) -> dict[str, Any]:
    """The reference's definition JSON; times in ms. `readiness.state`: `ready` once this process runs the version."""
    running = applied.segment_version(segment.id)
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
        "readiness": {
            "state": "ready" if running == segment.version else "starting",
            "runningVersion": running,
        },
    }
