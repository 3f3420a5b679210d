"""Facts: the records of a person's log, in arrival order on the `events` topic."""

from typing import Any, Literal

import msgspec

FactType = Literal["event", "record", "score", "tick"]
"""`event`: XDM ExperienceEvent; `record`: XDM profile attributes; `score`: attributes written by a model;
`tick`: the log's time moved on (replay only; carries no profile)."""


class Identity(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One identifier of a person in a namespace (`Email`, `ECID`, ...)."""

    namespace: str
    id: str
    primary: bool = False


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One validated, identified record of a person's log. Keyed by `profile_id`.

    `occurred_at`: event time, from the client. `received_at`: log time, stamped once at acceptance.
    `body`: the XDM entity as sent.
    """

    id: str
    type: FactType
    tenant: str
    profile_id: str
    occurred_at: int
    received_at: int
    dataset_id: str = ""
    identities: tuple[Identity, ...] = ()
    body: dict[str, Any] = msgspec.field(default_factory=dict)
    schema_version: int = 1

    @property
    def guard_id(self) -> str:
        """By what a profile's duplicate guard knows the fact again: an event's own id; other types stand apart."""
        return self.id if self.type == "event" else f"{self.type}\0{self.id}"

    @property
    def log_time(self) -> int:
        """The instant (µs) that a partition's clock has reached with this fact: deadlines before it are over. A tick
        says that those at its own instant are over too."""
        return self.received_at + (self.type == "tick")

    @property
    def event_type(self) -> str:
        """The XDM `eventType`, or an empty string for what is not an event."""
        value = self.body.get("eventType")
        return value if isinstance(value, str) else ""
