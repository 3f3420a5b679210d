"""HTTP door of feature sets (`/feature-sets`)."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from services.segmentation.api.bodies import Body
from services.segmentation.api.readiness import render_readiness
from services.segmentation.domain.definitions import set_name
from services.segmentation.domain.readiness import Readiness
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.ports import Ready
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.errors import Rejected


class FeatureBody(Body):
    name: str = Field(min_length=1, max_length=200)
    expression: str = Field(min_length=1)
    default: float = Field(default=0.0, allow_inf_nan=False)


class FeatureSetBody(Body):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    features: list[FeatureBody]


def routes(handlers: DefinitionHandlers, ready: Ready) -> APIRouter:
    """Returns the routes. `ready` tells how far definitions have been taken up."""
    router = APIRouter(tags=["features"])

    @router.get("/feature-sets")
    async def list_feature_sets() -> dict[str, Any]:
        """Lists feature sets, by name."""
        found, readiness = await handlers.list_feature_sets(), await ready.readiness()
        return {"featureSets": [render_feature_set(feature_set, readiness) for feature_set in found]}

    @router.post("/feature-sets", status_code=201)
    async def define_feature_set(body: FeatureSetBody) -> dict[str, Any]:
        """Defines a feature set, or a new version of it."""
        names = {feature.name for feature in body.features}
        if any("/" in name for name in names):
            raise Rejected("a feature's name has no '/': the slash parts it from its set's name")
        features = [FeatureDefinition(f.name, f.expression, default=f.default) for f in body.features]
        return render_feature_set(await handlers.define_feature_set(body.name, features), await ready.readiness())

    @router.get("/feature-sets/{name}")
    async def get_feature_set(name: str) -> dict[str, Any]:
        """Returns one feature set with its hash."""
        return render_feature_set(await handlers.get_feature_set(name), await ready.readiness())

    return router


def render_feature_set(feature_set: FeatureSetDefinition, readiness: Readiness) -> dict[str, Any]:
    """The feature set as stored (contract field names), its hash, and how far this version has been taken up."""
    return {
        "name": feature_set.name,
        "version": feature_set.version,
        "hash": feature_set.hash,
        "features": [
            {"name": f.name, "expression": f.expression, "dtype": f.dtype, "default": f.default}
            for f in feature_set.features
        ],
        "readiness": render_readiness(readiness.of(set_name(feature_set.name), feature_set.version)),
    }
