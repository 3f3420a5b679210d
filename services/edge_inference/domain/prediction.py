"""Predictions by identity: who is asked about, and what is answered. Pure."""

from typing import Any, Literal

import msgspec

from shared.contracts.models import ModelEvent
from shared.kernel.clock import format_instant
from shared.kernel.errors import Rejected
from shared.kernel.ids import profile_id


class AskedIdentity(msgspec.Struct, frozen=True):
    """An identifier of the person in a namespace."""

    namespace: str
    id: str


class PredictRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The body of `POST /predict/{service}`: an identity or a profile id; `default` scores unknown profiles with
    the feature set's defaults instead of answering 404."""

    identity: AskedIdentity | None = None
    profile_id: str | None = None
    on_missing: Literal["error", "default"] = "error"


class Prediction(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer. `score` is a probability; `decision` whether it reaches the model's threshold; `as_of` is the log
    time of the features, absent when they are defaults."""

    model: str
    version: int
    alias: str
    digest: str
    score: float
    decision: bool
    threshold: float
    profile_id: str
    features: Literal["profile", "defaults"]
    as_of: str | None = None


_decoder = msgspec.json.Decoder(PredictRequest)


def parse_request(body: bytes) -> PredictRequest:
    """Reads the body. Raises Rejected when it names nobody, or somebody twice."""
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"the body is not a prediction request: {error}") from None
    if (request.identity is None) == (request.profile_id is None):
        raise Rejected('name one person: {"identity": {"namespace": "Email", "id": "..."}} or {"profileId": "..."}')
    return request


def person_of(request: PredictRequest, tenant: str) -> str:
    """Returns the profile id that is asked about."""
    if request.identity is None:
        return request.profile_id or ""
    return profile_id(tenant, request.identity.namespace, request.identity.id)


def predict(event: ModelEvent, person: str, score: float, as_of: int | None) -> Prediction:
    """Builds the answer from the positive class's probability."""
    told: dict[str, Any] = {} if as_of is None else {"as_of": format_instant(as_of)}
    return Prediction(
        model=event.model,
        version=event.version,
        alias=event.alias,
        digest=event.digest,
        score=score,
        decision=score >= event.manifest.threshold,
        threshold=event.manifest.threshold,
        profile_id=person,
        features="defaults" if as_of is None else "profile",
        **told,
    )
