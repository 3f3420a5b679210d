"""HTTP door: lookups in the reference platform's shapes (`/ups/access/entities`), and the members of segments."""

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Query, Request, Response

from services.profile_store.domain.entity import Path, event_summary, profile_entity, sources
from services.profile_store.domain.events import EventPage, EventQuery, event_page
from services.profile_store.domain.state import ProfileState
from services.profile_store.handlers import Lookups
from services.profile_store.metrics import ProfileStoreMetrics
from shared.kernel.clock import format_instant
from shared.kernel.errors import Rejected

PROFILE_SCHEMA = "_xdm.context.profile"
EVENT_SCHEMA = "_xdm.context.experienceevent"

_PROFILE_PARAMETERS = ("schema.name", "entityId", "entityIdNS", "fields")
_EVENT_PARAMETERS = (
    "schema.name",
    "relatedSchema.name",
    "relatedEntityId",
    "relatedEntityIdNS",
    "fields",
    "startTime",
    "endTime",
    "orderby",
    "limit",
    "start",
)
_FIELDS_MAX = 100
_PATH_NAMES_MAX = 32
_ORDERS = {"+timestamp": False, "timestamp": False, " timestamp": False, "-timestamp": True}  # a "+" may come decoded

_Id = Annotated[str | None, Query(min_length=1, max_length=1024)]


def routes(lookups: Lookups, metrics: ProfileStoreMetrics) -> APIRouter:
    """Returns the routes."""
    router = APIRouter()
    _add_entities(router, lookups, metrics)
    _add_segments(router, lookups)
    return router


def _add_entities(router: APIRouter, lookups: Lookups, metrics: ProfileStoreMetrics) -> None:
    @router.get("/ups/access/entities", tags=["entities"], response_model=None)
    async def entities(
        request: Request,
        schema_name: Annotated[str | None, Query(alias="schema.name")] = None,
        entity_id: Annotated[_Id, Query(alias="entityId")] = None,
        entity_id_ns: Annotated[_Id, Query(alias="entityIdNS")] = None,
        related_schema: Annotated[str, Query(alias="relatedSchema.name")] = PROFILE_SCHEMA,
        related_id: Annotated[_Id, Query(alias="relatedEntityId")] = None,
        related_id_ns: Annotated[_Id, Query(alias="relatedEntityIdNS")] = None,
        fields: str = "",
        start_time: Annotated[int | None, Query(alias="startTime", description="ms, inclusive")] = None,
        end_time: Annotated[int | None, Query(alias="endTime", description="ms, exclusive")] = None,
        orderby: str = "+timestamp",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 1_000,
        start: _Id = None,
    ) -> Response:
        """A profile (`schema.name=_xdm.context.profile`), or its newest events (`_xdm.context.experienceevent`).

        Without a namespace the id is the profile id itself. An unknown profile has an empty entity.
        """
        paths = parse_fields(fields)
        if schema_name == PROFILE_SCHEMA:
            _refuse_others(request, _PROFILE_PARAMETERS)
            key, state = await lookups.profile(_needed("entityId", entity_id), entity_id_ns)
            metrics.looked_up("profile", found=state is not None)
            return _json({key: render_profile(key, state, paths)})
        if schema_name != EVENT_SCHEMA:
            raise _unexpected("schema.name", schema_name, (PROFILE_SCHEMA, EVENT_SCHEMA))
        _refuse_others(request, _EVENT_PARAMETERS)
        if related_schema != PROFILE_SCHEMA:
            raise _unexpected("relatedSchema.name", related_schema, (PROFILE_SCHEMA,))
        if orderby not in _ORDERS:
            raise _unexpected("orderby", orderby, ("+timestamp", "-timestamp"))
        query = EventQuery(start_time, end_time, _ORDERS[orderby], limit, start, paths)
        key, state = await lookups.profile(_needed("relatedEntityId", related_id), related_id_ns)
        metrics.looked_up("events", found=state is not None)
        return _json(render_events(event_page(key, state or ProfileState(), query), request, query.newest_first))


def _add_segments(router: APIRouter, lookups: Lookups) -> None:
    @router.get("/ups/segments/{segment_id}/members", tags=["segments"], response_model=None)
    async def members(
        segment_id: str,
        cursor: Annotated[str | None, Query(max_length=1_100)] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    ) -> Response:
        """Lists profile ids that are in the segment now, in no particular order; `page.next` is the next `cursor`.

        While memberships change, an id may come twice. The store knows no definitions: an unknown segment is empty.
        """
        total = await lookups.count(segment_id)
        found = await lookups.members(segment_id, cursor or None, limit)
        page = {"totalCount": total, "count": len(found.profile_ids), "next": found.cursor}
        return _json({"segmentId": segment_id, "members": found.profile_ids, "page": page})

    @router.get("/ups/segments/{segment_id}/count", tags=["segments"], response_model=None)
    async def count(segment_id: str) -> Response:
        """Counts the profiles that are in the segment now."""
        return _json({"segmentId": segment_id, "count": await lookups.count(segment_id)})


def parse_fields(text: str) -> tuple[Path, ...]:
    """Reads comma-separated dotted paths. Raises Rejected for an empty name and beyond 100 paths of 32 names."""
    if not text.strip():
        return ()
    paths = tuple(tuple(name.strip() for name in path.split(".")) for path in text.split(","))
    for path in paths:
        if not all(path) or len(path) > _PATH_NAMES_MAX:
            raise Rejected(
                f"`fields` has the path {'.'.join(path)[:200]!r}; expected names joined by dots (at most "
                f"{_PATH_NAMES_MAX}), paths separated by commas, as in fields=person.name,homeAddress"
            )
    if len(paths) > _FIELDS_MAX:
        raise Rejected(f"`fields` has {len(paths)} paths, at most {_FIELDS_MAX} are allowed; leave it out for all")
    return paths


def render_profile(key: str, state: ProfileState | None, fields: tuple[Path, ...]) -> dict[str, Any]:
    """The reference's entity; `eventSummary` is Freshet's addition."""
    if state is None:
        return {"entityId": key, "sources": [], "entity": {}, "lastModifiedAt": format_instant(0)}
    return {
        "entityId": key,
        "sources": sources(state),
        "entity": profile_entity(state, fields),
        "eventSummary": event_summary(state),
        "lastModifiedAt": format_instant(state.last_modified),
    }


def render_events(page: EventPage, request: Request, newest_first: bool) -> dict[str, Any]:
    """The reference's page; `totalCount` is Freshet's addition: all events ever, of which the newest are held."""
    links = {}
    if page.next is not None:
        query = dict(request.query_params) | {
            "start": page.next,
            "orderby": "-timestamp" if newest_first else "+timestamp",
        }
        links = {"next": {"href": f"{request.url.path}?{urlencode(query)}"}}
    return {
        "_page": {
            "orderby": "-timestamp" if newest_first else "+timestamp",
            "start": page.children[0]["entityId"] if page.children else "",
            "count": len(page.children),
            "totalCount": page.total,
            "next": page.next or "",
        },
        "children": page.children,
        "_links": links,
    }


def _needed(name: str, value: str | None) -> str:
    if value is None:
        raise Rejected(f"query parameter `{name}` is missing; name the identity to look up, and its namespace")
    return value


def _refuse_others(request: Request, accepted: tuple[str, ...]) -> None:
    """A filter that is silently ignored gives a wrong answer, so parameters we do not have are refused."""
    unknown = sorted(set(request.query_params) - set(accepted))
    if unknown:
        raise Rejected(f"query parameter `{unknown[0]}` is not supported here; accepted are {', '.join(accepted)}")


def _unexpected(name: str, found: str | None, accepted: tuple[str, ...]) -> Rejected:
    told = "is missing" if found is None else f"is {found[:200]!r}"
    return Rejected(f"query parameter `{name}` {told}; accepted values are {', '.join(accepted)}")


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
