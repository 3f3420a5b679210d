"""What the profile store's handlers need from outside."""

from dataclasses import dataclass
from typing import Protocol

from services.profile_store.domain.state import ProfileState


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Some of a segment's members. `cursor` continues the listing; None: this was the last page."""

    profile_ids: tuple[str, ...]
    cursor: str | None


class Profiles(Protocol):
    """Profiles as the stage has last written them, whichever worker owns them."""

    async def get(self, profile_id: str) -> ProfileState | None:
        """Returns a profile, None if nothing was ever merged under this id. Raises Retryable."""
        ...


class Members(Protocol):
    """The members of each segment, over all partitions."""

    async def count(self, segment_id: str) -> int:
        """Returns how many profiles are in the segment, 0 for a segment never heard of. Raises Retryable."""
        ...

    async def page(self, segment_id: str, cursor: str | None, limit: int) -> MemberPage:
        """Returns up to `limit` members, from the start or from a page's cursor.

        Who is a member from the first page to the last is listed; who comes or goes meanwhile may be, and while the
        set changes a member may be listed twice. Raises Rejected for a cursor it did not give, and Retryable.
        """
        ...
