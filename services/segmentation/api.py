"""HTTP door of the control plane, in the reference platform's shapes (`/ups/segment/definitions`)."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.segmentation.handlers import DefinitionHandlers
from services.segmentation.ports import Applied
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.errors import Rejected


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class ExpressionBody(_Body):
    """`value` is PQL text."""

    type: Literal["PQL"] = "PQL"
    format: Literal["pql/text"] = "pql/text"
    value: str = Field(min_length=1)


class SegmentBody(_Body):
    """A new segment. Fields of the reference that Freshet decides itself are accepted and ignored."""

    id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")
    name: str = Field(min_length=1, max_length=200)
    description: str = ""
    expression: ExpressionBody
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    profile_instance_id: str | None = None
    merge_policy_id: str | None = None
    evaluation_info: dict[str, Any] | None = None
    payload_schema: str | None = None
    ttl_in_days: int | None = None


class SegmentPatch(_Body):
    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = None
    expression: ExpressionBody | None = None


class FeatureBody(_Body):
    name: str = Field(min_length=1, max_length=200)
    expression: str = Field(min_length=1)
    default: float = Field(default=0.0, allow_inf_nan=False)


class FeatureSetBody(_Body):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    features: list[FeatureBody]


def routes(handlers: DefinitionHandlers, applied: Applied) -> APIRouter:
    """Returns the routes. `applied` tells what the worker of this process runs already."""
    router = APIRouter()
    _add_segments(router, handlers, applied)
    _add_feature_sets(router, handlers, applied)
    return router


def _add_segments(router: APIRouter, handlers: DefinitionHandlers, applied: Applied) -> None:
    @router.get("/ups/segment/definitions", tags=["segments"])
    async def list_definitions() -> dict[str, Any]:
        """Lists live segments, by name."""
        segments = [render_segment(s, applied) for s in await handlers.list_segments()]
        return {"segments": segments, "page": {"totalCount": len(segments)}}

    @router.post("/ups/segment/definitions", status_code=201, tags=["segments"])
    async def create_definition(body: SegmentBody) -> dict[str, Any]:
        """Defines a segment. 422 with line and column for an expression that does not compile."""
        segment = await handlers.define_segment(body.name, body.expression.value, body.description, body.id)
        return render_segment(segment, applied)

    @router.post("/ups/segment/definitions/validate", tags=["segments"])
    async def validate_definition(body: SegmentBody) -> dict[str, Any]:
        """Checks a segment without storing it."""
        await handlers.validate_segment(body.name, body.expression.value)
        return {"valid": True}

    @router.get("/ups/segment/definitions/{segment_id}", tags=["segments"])
    async def get_definition(segment_id: str) -> dict[str, Any]:
        """Returns one segment; `readiness` tells whether the worker of this process runs this version."""
        return render_segment(await handlers.get_segment(segment_id), applied)

    @router.patch("/ups/segment/definitions/{segment_id}", tags=["segments"])
    async def edit_definition(segment_id: str, body: SegmentPatch) -> dict[str, Any]:
        """Stores a new version of a segment."""
        expression = body.expression.value if body.expression else None
        return render_segment(await handlers.edit_segment(segment_id, body.name, expression, body.description), applied)

    @router.delete("/ups/segment/definitions/{segment_id}", status_code=204, tags=["segments"])
    async def remove_definition(segment_id: str) -> Response:
        """Removes a segment; refused while others refer to it."""
        await handlers.remove_segment(segment_id)
        return Response(status_code=204)


def _add_feature_sets(router: APIRouter, handlers: DefinitionHandlers, applied: Applied) -> None:
    @router.get("/feature-sets", tags=["features"])
    async def list_feature_sets() -> dict[str, Any]:
        """Lists feature sets, by name."""
        return {"featureSets": [render_feature_set(f, applied) for f in await handlers.list_feature_sets()]}

    @router.post("/feature-sets", status_code=201, tags=["features"])
    async def define_feature_set(body: FeatureSetBody) -> dict[str, Any]:
        """Defines a feature set, or a new version of it."""
        names = {feature.name for feature in body.features}
        if any("/" in name for name in names):
            raise Rejected("a feature's name has no '/': the slash parts it from its set's name")
        features = [FeatureDefinition(f.name, f.expression, default=f.default) for f in body.features]
        return render_feature_set(await handlers.define_feature_set(body.name, features), applied)

    @router.get("/feature-sets/{name}", tags=["features"])
    async def get_feature_set(name: str) -> dict[str, Any]:
        """Returns one feature set with its hash."""
        return render_feature_set(await handlers.get_feature_set(name), applied)


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


def render_feature_set(feature_set: FeatureSetDefinition, applied: Applied) -> dict[str, Any]:
    """The feature set as stored (contract field names), its hash, and whether this process runs this version."""
    running = applied.feature_set_version(feature_set.name)
    return {
        "name": feature_set.name,
        "version": feature_set.version,
        "hash": feature_set.hash,
        "features": [
            {"name": f.name, "expression": f.expression, "dtype": f.dtype, "default": f.default}
            for f in feature_set.features
        ],
        "readiness": {
            "state": "ready" if running == feature_set.version else "starting",
            "runningVersion": running,
        },
    }
