"""Updates, batches and a store in memory, with only the fields that matter."""

from collections.abc import Sequence
from typing import Any

from services.profile_store.domain.state import ProfileState
from services.profile_store.domain.step import Tally, step
from shared.contracts.facts import Fact, FactType, Identity
from shared.contracts.memberships import Cause, Change, Membership, Transition
from shared.contracts.updates import ProfileUpdate
from shared.contracts.vectors import FeatureVector
from shared.kernel.clock import DAY
from shared.kernel.ids import digest_id
from shared.runtime.stage import Batch, Effects, Record

KEY = "0" * 32
DAY_0 = 1_700_000_000_000_000
"""2023-11-14T22:13:20Z"""


def fact(
    id_: str, body: dict[str, Any] | None = None, type_: FactType = "event", at: int = DAY_0, **fields: Any
) -> Fact:
    return Fact(id_, type_, "default", KEY, **({"occurred_at": at, "received_at": at} | fields), body=body or {})


def update(of: Fact | None = None, at: int = DAY_0, **fields: Any) -> ProfileUpdate:
    return ProfileUpdate("default", KEY, at if of is None else of.received_at, of, **fields)


def transition(segment: str, change: Change, at: int = DAY_0, version: int = 1) -> Transition:
    return Transition(f"{segment} {change} {at}", segment, version, change, at, Cause("fact", "f"))


def moved(at: int, now: dict[str, int], *changes: Transition, of: Fact | None = None) -> ProfileUpdate:
    """An update that leaves the profile in the segments `now`, since the given times."""
    memberships = {segment: Membership(1, since) for segment, since in now.items()}
    return update(of, at, transitions=changes, memberships=memberships)


def vector(at: int, *values: float) -> FeatureVector:
    return FeatureVector(f"v{at}", "default", KEY, "shop", digest_id("features"), at, values)


def run(*updates: ProfileUpdate, state: ProfileState | None = None, key: str = KEY) -> Effects[ProfileState]:
    """Steps over one batch of updates."""
    records = [Record(key, one, 0, offset, 0) for offset, one in enumerate(updates)]
    return step(Tally(), Batch(0, records, (), {} if state is None else {key: state}))


def profile(*updates: ProfileUpdate) -> ProfileState:
    """The state after updates that came in one batch."""
    return run(*updates).states[KEY]


def email(address: str, primary: bool = False) -> Identity:
    return Identity("Email", address, primary)


def days(number: int) -> int:
    return DAY_0 + number * DAY


def views(effects: Effects[ProfileState]) -> Sequence[tuple[str, str]]:
    return [(view.action, view.name) for view in effects.views]
