"""What can be asked of the profile store."""

from services.profile_store.domain.state import ProfileState
from services.profile_store.ports import MemberPage, Members, Profiles
from shared.kernel.ids import profile_id


class Lookups:
    """Answers for every profile, whichever worker owns its partition."""

    def __init__(self, profiles: Profiles, members: Members, tenant: str) -> None:
        self._profiles = profiles
        self._members = members
        self._tenant = tenant

    async def profile(self, entity_id: str, namespace: str | None) -> tuple[str, ProfileState | None]:
        """Returns the profile's id and what is known of it. Without a namespace `entity_id` is the profile id."""
        key = entity_id if namespace is None else profile_id(self._tenant, namespace, entity_id)
        return key, await self._profiles.get(key)

    async def count(self, segment_id: str) -> int:
        """Returns the number of members at this moment."""
        return await self._members.count(segment_id)

    async def members(self, segment_id: str, cursor: str | None, limit: int) -> MemberPage:
        """Returns up to `limit` members; nobody who stays in the segment is left out of a whole listing."""
        return await self._members.page(segment_id, cursor, limit)
