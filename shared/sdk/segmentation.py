"""Segmentation: segment definitions and feature sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.sdk.transport import Http

_DEFINITIONS = "/ups/segment/definitions"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored definition. `ready`: the answering process decides by this version."""

    id: str
    name: str
    version: int
    expression: str
    ready: bool


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A stored feature set; `hash` travels with vectors and models. `features`: name to expression, in order."""

    name: str
    version: int
    hash: str
    features: Mapping[str, str]
    ready: bool


@dataclass(frozen=True)
class SegmentationClient:
    http: Http

    def define(self, name: str, expression: str, segment_id: str | None = None, description: str = "") -> Segment:
        """Defines a segment. Raises ApiError 422 with line and column for text that does not compile."""
        body = _definition(name, expression, description) | ({"id": segment_id} if segment_id else {})
        return _segment(self.http.post(_DEFINITIONS, body))

    def validate(self, name: str, expression: str) -> None:
        """Checks without storing. Raises as `define`."""
        self.http.post(f"{_DEFINITIONS}/validate", _definition(name, expression, ""), safe=True)

    def segment(self, segment_id: str) -> Segment:
        return _segment(self.http.get(f"{_DEFINITIONS}/{segment_id}"))

    def segments(self) -> list[Segment]:
        """Live segments, by name."""
        return [_segment(found) for found in self.http.get(_DEFINITIONS)["segments"]]

    def edit(self, segment_id: str, expression: str) -> Segment:
        """Stores a new version."""
        value = {"type": "PQL", "format": "pql/text", "value": expression}
        return _segment(self.http.patch(f"{_DEFINITIONS}/{segment_id}", {"expression": value}))

    def remove(self, segment_id: str) -> None:
        self.http.delete(f"{_DEFINITIONS}/{segment_id}")

    def define_feature_set(self, name: str, features: Mapping[str, str]) -> FeatureSet:
        """Defines a feature set, or a new version of it; the same features again change nothing."""
        listed = [{"name": feature, "expression": text} for feature, text in features.items()]
        return _feature_set(self.http.post("/feature-sets", {"name": name, "features": listed}, safe=True))

    def feature_set(self, name: str) -> FeatureSet:
        return _feature_set(self.http.get(f"/feature-sets/{name}"))

    def feature_sets(self) -> list[FeatureSet]:
        """Live feature sets, by name."""
        return [_feature_set(found) for found in self.http.get("/feature-sets")["featureSets"]]


def _definition(name: str, expression: str, description: str) -> dict[str, Any]:
    value = {"type": "PQL", "format": "pql/text", "value": expression}
    return {"name": name, "description": description, "expression": value}


def _segment(found: Mapping[str, Any]) -> Segment:
    ready = found["readiness"]["state"] == "ready"
    return Segment(found["id"], found["name"], found["version"], found["expression"]["value"], ready)


def _feature_set(found: Mapping[str, Any]) -> FeatureSet:
    features = {feature["name"]: feature["expression"] for feature in found["features"]}
    return FeatureSet(found["name"], found["version"], found["hash"], features, found["readiness"]["state"] == "ready")
