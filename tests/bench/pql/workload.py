"""The events of the measurement, decoded, in order of time: a sample of users with their whole history."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

from shared.cli.sources.choose import choose_source
from shared.cli.sources.source import Datasets
from shared.kernel.clock import parse_instant
from shared.pql import Event, Profile

USERS_ONE_IN = 10
"""GA4 holds 17 days; one user in ten keeps whole histories and a run short."""
_TIERS = ("bronze", "bronze", "bronze", "silver", "gold")
_COUNTRIES = ("US", "US", "DE", "GB", "IN", "JP", "CA")


@dataclass(frozen=True)
class Workload:
    """Events with the profile each belongs to; `values` are texts found at a path, the commonest first."""

    source: str
    events: list[tuple[str, Event]]
    profiles: dict[str, Profile]
    values: dict[str, list[str]]


PATHS = ("placeContext.geo.country", "device.type", "web.webPageDetails.name", "productListItems.SKU", "eventType")
"""What definitions ask for; their values are drawn from the events themselves."""


def load(folder: Path | None, events_max: int) -> Workload:
    """GA4 events of `folder`, or synthetic ones without it."""
    source = choose_source(folder, users=events_max // 10 + 1, seed=0)
    events = list(islice(_events(source, sampled=folder is not None), events_max))
    users = dict.fromkeys(user for user, _ in events)
    counters = {path: Counter(text_at({**e.body, "eventType": e.type}, path) for _, e in events) for path in PATHS}
    values = {path: [text for text, _ in found.most_common() if text] for path, found in counters.items()}
    return Workload(source.name, events, {user: _profile(user) for user in users}, values)


def _events(source: Any, sampled: bool) -> Iterator[tuple[str, Event]]:
    for item in source.read(Datasets("events", "profiles")):
        user = item.identity.id
        if item.kind != "event" or (sampled and _digest(user) % USERS_ONE_IN):
            continue
        body = dict(item.message.body.xdm_entity)
        event_id, type_, at = body.pop("_id"), body.pop("eventType"), parse_instant(body.pop("timestamp"))
        yield user, Event(event_id, at, type_, body)


def _digest(user: str) -> int:
    return int.from_bytes(blake2b(user.encode(), digest_size=4).digest(), "big")


def _profile(user: str) -> Profile:
    # GA4 has no profile records: attributes are drawn from the user's id, the same in every run.
    drawn = _digest(user)
    return Profile(
        user,
        {
            "loyalty": {"tier": _TIERS[drawn % len(_TIERS)], "points": drawn // 7 % 1_000},
            "homeAddress": {"countryCode": _COUNTRIES[drawn // 11 % len(_COUNTRIES)]},
            "person": {"birthYear": 1950 + drawn // 13 % 55},
        },
    )


def text_at(body: Any, path: str) -> str:
    value = body
    for name in path.split("."):
        if isinstance(value, list):
            value = value[0] if value else None
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
