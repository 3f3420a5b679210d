"""What a registered model must be: pure rules over manifests, names and recorded parity."""

import math
import re
from dataclasses import dataclass

from shared.contracts.models import ModelManifest
from shared.kernel.errors import Reason, Rejected

PARITY_MAX_ABS = 1e-5
"""Largest difference between the served graph and the trained estimator that is let in, as a probability."""

_MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ALIAS_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable version of a model. `created_at` in µs."""

    model: str
    version: int
    digest: str
    manifest: ModelManifest
    created_at: int


@dataclass(frozen=True, slots=True)
class Alias:
    """Where an alias points. `revision` grows by one with each move; `moved_at` in µs."""

    model: str
    alias: str
    version: int
    revision: int
    moved_at: int


def check_model_name(name: str) -> None:
    """Raises Rejected unless `name` can be a model: it becomes a field of profiles and a part of paths."""
    if not _MODEL_NAME.fullmatch(name):
        raise Rejected(
            f"model name {name[:80]!r} must be 1 to 63 characters a-z, 0-9 or _ and begin with a letter", Reason.MODEL
        )


def check_alias_name(alias: str) -> None:
    """Raises Rejected unless `alias` can name an alias."""
    if not _ALIAS_NAME.fullmatch(alias):
        raise Rejected(
            f"alias {alias[:80]!r} must be 1 to 63 characters a-z, 0-9 or - and begin with a letter", Reason.MODEL
        )


def check_manifest(model: str, manifest: ModelManifest, digest: str) -> None:
    """Raises Rejected, naming the first thing wrong, unless the manifest describes the file with `digest`."""
    wrong = _wrong(model, manifest, digest)
    if wrong:
        raise Rejected(f"manifest of model {model!r}: {wrong}", Reason.MODEL)


def _wrong(model: str, manifest: ModelManifest, digest: str) -> str:
    if manifest.model != model:
        return f"it describes model {manifest.model!r}; upload it under that name"
    if manifest.digest != digest:
        return f"it says digest {manifest.digest!r}, the file has {digest}; send the file it was made for"
    if not manifest.features or len(set(manifest.features)) != len(manifest.features):
        return "its features must be at least one, and each name only once"
    if len(manifest.defaults) != len(manifest.features):
        return f"it has {len(manifest.features)} features but {len(manifest.defaults)} defaults"
    if not all(math.isfinite(value) for value in manifest.defaults):
        return "its defaults must be finite numbers"
    if not 0 <= manifest.threshold <= 1:
        return f"its threshold is {manifest.threshold}, expected a probability from 0 to 1"
    return _parity_wrong(manifest)


def _parity_wrong(manifest: ModelManifest) -> str:
    parity = manifest.parity
    if parity.rows < 1:
        return "its parity report covers no rows; compare the graph with the trained estimator before uploading"
    # Written so that a NaN, which compares false with everything, is refused.
    if not parity.max_abs <= PARITY_MAX_ABS or parity.label_flips != 0:
        return (
            f"the graph differs from the trained estimator: largest difference {parity.max_abs:g} "
            f"(allowed {PARITY_MAX_ABS:g}), {parity.label_flips} label flips (allowed 0) in {parity.rows} rows"
        )
    return ""
