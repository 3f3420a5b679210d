"""Tells the running system what the demo is about: schemas, datasets, features, segments."""

import time
from collections.abc import Sequence

from deploy.demo.definitions import FEATURE_SET, ModelRecipe, SegmentFile, schema_of
from deploy.demo.errors import DemoError, UsageError
from shared.cli.sources.source import Datasets
from shared.sdk import ApiError, Freshet

_READY_LIMIT_S = 60.0
_POLL_S = 0.1


def register_data(freshet: Freshet, source: str) -> Datasets:
    """Registers schemas, datasets and an HTTP connection; returns the ids that messages must name."""
    ingestion = freshet.ingestion
    events = ingestion.register_schema(f"{source} events", schema_of(source, "events"), "event")
    profiles = ingestion.register_schema(f"{source} profiles", schema_of(source, "profiles"), "profile")
    datasets = Datasets(
        events=ingestion.register_dataset(f"{source}-events", events),
        profiles=ingestion.register_dataset(f"{source}-profiles", profiles),
    )
    ingestion.register_connection(f"{source}-inlet", datasets.events)
    return datasets


def define_features(freshet: Freshet, recipe: ModelRecipe) -> None:
    """Defines the feature set of the model."""
    freshet.segmentation.define_feature_set(FEATURE_SET, recipe.features)


def define_segments(freshet: Freshet, segments: Sequence[SegmentFile]) -> None:
    """Defines segments. Raises UsageError with the service's words for one that does not fit the schemas."""
    for segment in segments:
        try:
            freshet.segmentation.define(segment.name, segment.text, segment.name, segment.description)
        except ApiError as error:
            raise UsageError(f"{segment.path}: {error.detail}") from error


def wait_until_ready(freshet: Freshet) -> None:
    """Waits until the running worker decides by all that is defined."""
    end = time.monotonic() + _READY_LIMIT_S
    while waiting := [
        *(f"segment {segment.name}" for segment in freshet.segmentation.segments() if not segment.ready),
        *(f"feature set {found.name}" for found in freshet.segmentation.feature_sets() if not found.ready),
    ]:
        if time.monotonic() > end:
            what = ", ".join(waiting)
            raise DemoError(f"segmentation has not taken up {what} within {_READY_LIMIT_S:.0f} s; see its log")
        time.sleep(_POLL_S)
