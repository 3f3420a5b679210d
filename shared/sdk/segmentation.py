"""Segmentation: segment definitions and feature sets, previews, and why a profile is in a segment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.sdk.transport import Http

_DEFINITIONS = "/ups/segment/definitions"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored definition. `ready`: every profile is decided by this version, as if it had always been there."""

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


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many would be in a segment, projected from a sample of people. With 95 % confidence from `low` to `high`.

    `state` is RUNNING, RESULT_READY or FAILED (`error` says why); before the end the numbers are as of what was read.
    """

    preview_id: str
    state: str
    size: int
    standard_error: float
    low: int
    high: int
    profiles_read: int
    profiles_matched: int
    error: str

    @property
    def ended(self) -> bool:
        return self.state != "RUNNING"


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

    def explain(self, expression: str) -> dict[str, Any]:
        """How an expression will be run: `text` for people, `cost` and `leaves` for programs. Raises as `define`."""
        body = {"expression": {"type": "PQL", "format": "pql/text", "value": expression}}
        found: dict[str, Any] = self.http.post(f"{_DEFINITIONS}/explain", body, safe=True)
        return found

    def why(self, segment_id: str, value: str, namespace: str | None = None) -> dict[str, Any]:
        """Why a profile, by one of its identities or (without a namespace) its id, is in a segment or not."""
        query = {"profileId": value} if namespace is None else {"entityId": value, "entityIdNS": namespace}
        found: dict[str, Any] = self.http.get(f"{_DEFINITIONS}/{segment_id}/why", **query)
        return found

    def to_json(self, expression: str) -> dict[str, Any]:
        """An expression's `pql/json` tree. Raises as `define`."""
        tree: dict[str, Any] = json.loads(self._converted("pql/text", expression))
        return tree

    def to_text(self, tree: Mapping[str, Any]) -> str:
        """The text of a `pql/json` tree. Raises ApiError 422 for what is no expression."""
        return self._converted("pql/json", dict(tree))

    def preview(self, expression: str, sample_partitions: int = 1) -> str:
        """Tries an expression on a sample of the retained log; returns the preview's id. Raises as `define`."""
        body = {"predicateExpression": expression, "predicateType": "pql/text", "samplePartitions": sample_partitions}
        return str(self.http.post("/preview", body)["previewId"])

    def estimate(self, preview_id: str) -> Estimate:
        return _estimate(self.http.get(f"/estimate/{preview_id}"))

    def previewed(self, preview_id: str, offset: int = 0, limit: int = 100) -> list[str]:
        """A page of the profile ids that a preview found, none until it has ended."""
        page = self.http.get(f"/preview/{preview_id}", offset=offset, limit=limit)
        return [result["profileId"] for result in page["results"]]

    def remove_preview(self, preview_id: str) -> None:
        """Ends a preview, if it still runs, and forgets it."""
        self.http.delete(f"/preview/{preview_id}")

    def define_feature_set(self, name: str, features: Mapping[str, str]) -> FeatureSet:
        """Defines a feature set, or a new version of it; the same features again change nothing."""
        listed = [{"name": feature, "expression": text} for feature, text in features.items()]
        return _feature_set(self.http.post("/feature-sets", {"name": name, "features": listed}, safe=True))

    def feature_set(self, name: str) -> FeatureSet:
        return _feature_set(self.http.get(f"/feature-sets/{name}"))

    def feature_sets(self) -> list[FeatureSet]:
        """Live feature sets, by name."""
        return [_feature_set(found) for found in self.http.get("/feature-sets")["featureSets"]]

    def _converted(self, format_: str, value: Any) -> str:
        body = {"expression": {"type": "PQL", "format": format_, "value": value}}
        return str(self.http.post("/ups/segment/conversion", body, safe=True)["expression"]["value"])


def _definition(name: str, expression: str, description: str) -> dict[str, Any]:
    value = {"type": "PQL", "format": "pql/text", "value": expression}
    return {"name": name, "description": description, "expression": value}


def _segment(found: Mapping[str, Any]) -> Segment:
    ready = found["readiness"]["state"] == "ready"
    return Segment(found["id"], found["name"], found["version"], found["expression"]["value"], ready)


def _estimate(found: Mapping[str, Any]) -> Estimate:
    bounds = found["confidenceBounds"]
    return Estimate(
        preview_id=found["previewId"],
        state=found["state"],
        size=found["estimatedSize"],
        standard_error=found["standardError"],
        low=bounds["low"],
        high=bounds["high"],
        profiles_read=found["profilesReadSoFar"],
        profiles_matched=found["profilesMatchedSoFar"],
        error=found.get("error", ""),
    )


def _feature_set(found: Mapping[str, Any]) -> FeatureSet:
    features = {feature["name"]: feature["expression"] for feature in found["features"]}
    return FeatureSet(found["name"], found["version"], found["hash"], features, found["readiness"]["state"] == "ready")
