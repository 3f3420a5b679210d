"""The profile store: who somebody is, and who is in a segment."""

from dataclasses import dataclass
from typing import Any

from shared.sdk.transport import Http

_ENTITIES = "/ups/access/entities"


@dataclass(frozen=True)
class ProfilesClient:
    http: Http

    def lookup(self, namespace: str, value: str) -> dict[str, Any]:
        """A profile by one of its identities, in the reference's shape; an unknown one has an empty `entity`."""
        query = {"schema.name": "_xdm.context.profile", "entityId": value, "entityIdNS": namespace}
        found: dict[str, Any] = next(iter(self.http.get(_ENTITIES, **query).values()))
        return found

    def events(self, namespace: str, value: str) -> dict[str, Any]:
        """The newest events of a profile."""
        query = {
            "schema.name": "_xdm.context.experienceevent",
            "relatedEntityId": value,
            "relatedEntityIdNS": namespace,
        }
        page: dict[str, Any] = self.http.get(_ENTITIES, **query)
        return page

    def members(self, segment_id: str, limit: int = 100, cursor: str | None = None) -> dict[str, Any]:
        """A page of a segment's members."""
        page: dict[str, Any] = self.http.get(f"/ups/segments/{segment_id}/members", limit=limit, cursor=cursor)
        return page
