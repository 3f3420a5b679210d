"""The profile as readers see it: merged attributes, identity map and `segmentMembership` in XDM's shape."""

from collections.abc import Sequence
from typing import Any

from services.profile_store.domain.state import ProfileState, SegmentStatus
from shared import merge
from shared.kernel.clock import format_instant

Path = tuple[str, ...]
"""A dotted path, split."""


def profile_entity(state: ProfileState, fields: Sequence[Path] = ()) -> dict[str, Any]:
    """Returns the profile's XDM entity, cut down to `fields` if there are any."""
    entity = dict(merge.merged(state.fragments))
    identities = _identity_map(state, entity.get("identityMap", {}))
    if identities:
        entity["identityMap"] = identities
    if state.segments:
        entity["segmentMembership"] = {"ups": {s: _status(state.segments[s]) for s in sorted(state.segments)}}
    return select(entity, fields)


def sources(state: ProfileState) -> list[str]:
    """Returns the ids of all datasets that contributed, sorted."""
    return sorted({*merge.sources(state.fragments), *filter(None, state.event_datasets)})


def event_summary(state: ProfileState) -> dict[str, Any]:
    """Returns how many events there were, of which types, and when first and last by event time."""
    types = {
        type_: {
            "count": activity.count,
            "firstOccurredAt": format_instant(activity.first),
            "lastOccurredAt": format_instant(activity.last),
        }
        for type_, activity in sorted(state.activities.items())
    }
    return {"count": event_count(state), "types": types}


def event_count(state: ProfileState) -> int:
    return sum(activity.count for activity in state.activities.values())


def select(entity: dict[str, Any], fields: Sequence[Path]) -> dict[str, Any]:
    """Returns the parts of `entity` at `fields`; no fields means all of it, absent ones are left out.

    >>> select({"person": {"name": "Ann", "age": 7}, "x": 1}, [("person", "name"), ("y",)])
    {'person': {'name': 'Ann'}}
    """
    if not fields:
        return entity
    chosen: dict[str, Any] = {}
    for path in sorted(fields, key=len, reverse=True):  # a whole object replaces what was picked from it
        _copy(entity, path, chosen)
    return chosen


def _copy(source: dict[str, Any], path: Path, target: dict[str, Any]) -> None:
    """Copies one path. Keys may contain dots (segment ids do): the longest key that exists is followed."""
    for length in range(len(path), 0, -1):
        name = ".".join(path[:length])
        if name not in source:
            continue
        below, rest = source[name], path[length:]
        if not rest:
            target[name] = below
        elif isinstance(below, dict):
            found: dict[str, Any] = target.get(name, {})
            _copy(below, rest, found)
            if found:
                target[name] = found
        return


def _identity_map(state: ProfileState, of_records: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Unites identities of records (with whatever else they say of an identity) and of events."""
    result: dict[str, list[dict[str, Any]]] = {}
    for namespace in sorted({*of_records, *(name for name, held in state.identities.items() if held)}):
        items = {item["id"]: item for item in of_records.get(namespace, ())}
        for id_, primary in state.identities.get(namespace, {}).items():
            items.setdefault(id_, {"id": id_, "primary": primary})
        result[namespace] = sorted(items.values(), key=lambda item: (not item.get("primary", False), item["id"]))
    return result


def _status(held: SegmentStatus) -> dict[str, Any]:
    return {
        "status": "realized" if held.realized else "exited",
        "lastQualificationTime": format_instant(held.since),
        "version": held.version,
    }
