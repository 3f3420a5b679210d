"""A source: XDM messages in the order in which they arrived, ready for the topic `inbound`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from shared.contracts.facts import Identity
from shared.contracts.inbound import InboundBody, InboundHeader, InboundMessage
from shared.kernel.clock import Micros
from shared.kernel.errors import FreshetError


class SourceError(FreshetError):
    """The data cannot be read as what it was taken for; the message says which file and what was expected."""


@dataclass(frozen=True, slots=True)
class Datasets:
    """Ids of the datasets, registered at ingestion, that a source's messages name in their headers."""

    events: str
    profiles: str


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One message with its log time (µs) and the primary identity inside it.

    `kind` tells experience events from profile records; both travel on the same log.
    """

    message: InboundMessage
    received_at: Micros
    identity: Identity
    kind: Literal["event", "record"] = "event"


class Source(Protocol):
    """Reads or makes messages, ordered by `received_at`, in bounded memory. Reading twice gives the same messages."""

    @property
    def name(self) -> str:
        """`synthetic`, `ga4` or `luma`: also the name of the folder of segments shipped for it."""
        ...

    @property
    def conversion(self) -> str:
        """The `eventType` whose coming a propensity model predicts."""
        ...

    def count(self, until: Micros | None = None) -> int:
        """How many events will come, those before `until` (µs) if given: exactly where that is quick to tell,
        otherwise as expected."""
        ...

    def read(self, datasets: Datasets) -> Iterator[SourceEvent]:
        """Yields all messages. Raises SourceError when the data is not what it should be."""
        ...


def event_of(dataset: str, entity: dict[str, Any], received_at: int, identity: Identity) -> SourceEvent:
    """Wraps an XDM ExperienceEvent."""
    message = InboundMessage(header=InboundHeader(dataset_id=dataset), body=InboundBody(xdm_entity=entity))
    return SourceEvent(message, Micros(received_at), identity)


def record_of(dataset: str, entity: dict[str, Any], received_at: int, identity: Identity) -> SourceEvent:
    """Wraps XDM profile attributes."""
    message = InboundMessage(header=InboundHeader(dataset_id=dataset), body=InboundBody(xdm_entity=entity))
    return SourceEvent(message, Micros(received_at), identity, "record")
