"""A small shop on the running system: a dataset, an inlet, a feature set and a champion model."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from shared.contracts.inbound import InboundBody, InboundHeader, InboundMessage
from shared.contracts.models import ModelManifest
from shared.sdk.client import Freshet
from tests.support.models import linear_model, manifest_of
from tests.support.system import System, checked
from tests.support.waiting import wait_until

NAMESPACE = "Email"
FEATURES = {
    "views": 'xEvent[eventType = "commerce.productViews"].count()',
    "purchases": 'xEvent[eventType = "commerce.purchases"].count()',
    "spent": 'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal)',
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Shop:
    """What a story needs: people with fresh addresses, events, and places to look."""

    system: System
    client: Freshet
    events: str
    profiles: str
    connection: str

    def person(self) -> str:
        """An address nobody has used."""
        return f"person-{uuid4().hex[:12]}@example.org"

    def event(self, person: str, type_: str, **fields: Any) -> InboundMessage:
        """An XDM event that happens now."""
        entity = {
            "_id": uuid4().hex,
            "timestamp": datetime.now(UTC).isoformat(),
            "eventType": type_,
            "identityMap": {NAMESPACE: [{"id": person, "primary": True}]},
        }
        return InboundMessage(InboundHeader(self.events), InboundBody(entity | fields))

    def purchase(self, person: str, price: float) -> InboundMessage:
        return self.event(person, "commerce.purchases", commerce={"order": {"priceTotal": price}})

    def send(self, *messages: InboundMessage) -> None:
        for message in messages:
            self.client.ingestion.send(self.connection, message)

    def define(self, expression: str) -> str:
        """Defines a segment, waits until it is decided by, and returns its id."""
        id_ = f"story-{next(_numbers)}-{uuid4().hex[:6]}"
        self.client.segmentation.define(id_, expression, segment_id=id_)
        wait_until(lambda: self.client.segmentation.segment(id_).ready, f"segment {id_} is running")
        return id_

    def entity(self, person: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.profiles.lookup(NAMESPACE, person)["entity"]
        return found

    def status(self, person: str, segment: str) -> str | None:
        """`realized`, `exited`, or None when the profile knows nothing of the segment."""
        memberships = self.entity(person).get("segmentMembership", {}).get("ups", {})
        status: str | None = memberships.get(segment, {}).get("status")
        return status

    def wait_status(self, person: str, segment: str, status: str, limit_s: float = 20.0) -> None:
        wait_until(lambda: self.status(person, segment) == status, f"{person} is {status} in {segment}", limit_s)

    def upload(self, raw: bytes, manifest: ModelManifest) -> int:
        """Registers a model version; returns its number."""
        with self.system.http("model_registry") as http:
            files = {"manifest": ("manifest.json", msgspec.json.encode(manifest)), "model": ("model.onnx", raw)}
            return int(checked(post_version(http, manifest.model, files))["version"])

    def promote(self, model: str, version: int) -> None:
        """Makes a version the champion, whatever was champion before."""
        with self.system.http("model_registry") as http:
            found = http.get(f"/models/{model}/aliases/champion")
            revision = found.json()["revision"] if found.is_success else 0
        self.client.registry.move(model, version, revision)


def post_version(http: httpx.Client, model: str, files: dict[str, tuple[str, bytes]]) -> httpx.Response:
    return http.post(f"/models/{model}/versions", files=files)


def shop_model(
    shop: Shop, model: str, weights: Sequence[float], bias: float, **fields: Any
) -> tuple[bytes, ModelManifest]:
    """A logistic regression over the shop's features, with the manifest that fits the running feature set."""
    feature_set = shop.client.segmentation.feature_set("shop")
    raw = linear_model(weights, bias)
    manifest = manifest_of(
        raw,
        model=model,
        feature_set=feature_set.name,
        feature_set_hash=feature_set.hash,
        features=tuple(feature_set.features),
        defaults=(0.0,) * len(feature_set.features),
    )
    return raw, manifest


@pytest.fixture(scope="session")
def shop(system: System) -> Iterator[Shop]:
    """The shop, registered once per session."""
    urls = {name: system.url(name) for name in ("ingestion", "segmentation", "profile_store", "training")}
    urls |= {name: system.url(name) for name in ("model_registry", "edge_inference")}
    with Freshet.connect(urls) as client:
        events = client.ingestion.register_dataset(
            f"shop events {uuid4().hex[:6]}", "https://ns.adobe.com/xdm/context/experienceevent"
        )
        profiles = client.ingestion.register_dataset(
            f"shop profiles {uuid4().hex[:6]}", "https://ns.adobe.com/xdm/context/profile"
        )
        client.segmentation.define_feature_set("shop", FEATURES)
        wait_until(lambda: client.segmentation.feature_set("shop").ready, "the feature set is running")
        yield Shop(system, client, events, profiles, client.ingestion.register_connection("shop"))
