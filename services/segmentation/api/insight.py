"""HTTP door for questions about segments: explain, why, conversion between text and tree."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from services.segmentation.api.bodies import ConversionBody, ExplainBody
from services.segmentation.api.definitions import PATH
from services.segmentation.domain.conversion import to_text, to_tree
from services.segmentation.handlers.insight import Answer, InsightHandlers
from shared import pql
from shared.contracts.facts import Fact
from shared.kernel.clock import format_instant
from shared.kernel.errors import Rejected
from shared.kernel.ids import profile_id as derived_id

_ITEMS_MAX = 20
_EVENTS_MAX = 100
_DEPTH_MAX = 6


def routes(handlers: InsightHandlers, tenant: str) -> APIRouter:
    router = APIRouter(tags=["insight"])

    @router.post(f"{PATH}/explain")
    async def explain(body: ExplainBody) -> dict[str, Any]:
        """Says how an expression will be run: its histories, how events find them, bounds and worst case."""
        return render_explained(await handlers.explain(body.expression.text()))

    @router.get(f"{PATH}/{{segment_id}}/explain")
    async def explain_segment(segment_id: str) -> dict[str, Any]:
        """Says how a stored segment is run."""
        segment, explained = await handlers.explain_segment(segment_id)
        return {"id": segment.id, "version": segment.version} | render_explained(explained)

    @router.get(f"{PATH}/{{segment_id}}/why")
    async def why(
        segment_id: str,
        profile_id: Annotated[str | None, Query(alias="profileId", min_length=1)] = None,
        entity_id: Annotated[str | None, Query(alias="entityId", min_length=1)] = None,
        namespace: Annotated[str | None, Query(alias="entityIdNS", min_length=1)] = None,
    ) -> dict[str, Any]:
        """Says why a profile is in a segment or not: the evaluated tree, the events that count, the next change."""
        id_ = _profile(tenant, profile_id, entity_id, namespace)
        return render_answer(await handlers.why(segment_id, id_))

    @router.post("/ups/segment/conversion")
    async def convert(body: ConversionBody) -> dict[str, Any]:
        """Returns the definition with its expression in the other format: text becomes a tree, a tree text."""
        text = to_text(body.expression.format, body.expression.value)
        tree = to_tree(text)
        converted = {"format": "pql/text", "value": text}
        if body.expression.format == "pql/text":
            # The reference carries the tree as text too.
            converted = {"format": "pql/json", "value": json.dumps(tree, ensure_ascii=False)}
        sent = body.model_dump(by_alias=True, exclude_unset=True, exclude={"expression"})
        return sent | {"expression": {"type": "PQL", **converted}}

    return router


def _profile(tenant: str, profile_id: str | None, entity_id: str | None, namespace: str | None) -> str:
    """Names the profile that is asked for; an identity without a namespace is the profile id."""
    if (profile_id is None) == (entity_id is None) or (namespace is not None and entity_id is None):
        raise Rejected("name the profile by profileId, or by entityId with entityIdNS (for example Email)")
    if entity_id is None:
        assert profile_id is not None
        return profile_id
    return entity_id if namespace is None else derived_id(tenant, namespace, entity_id)


def render_explained(explained: pql.Explanation) -> dict[str, Any]:
    """The text for people, and its parts for programs. `steps` are about a tenth of a microsecond each."""
    leaves = [
        {
            "name": leaf.name,
            "text": leaf.text,
            "family": leaf.family,
            "foundBy": leaf.found_by,
            "keeps": leaf.keeps,
            "entriesMax": leaf.entries_max,
            "lastChange": leaf.last_change,
        }
        for leaf in explained.leaves
    ]
    return {
        "text": str(explained),
        "value": explained.value,
        "condition": explained.condition,
        "refersTo": list(explained.refers_to),
        "cost": {"stepsPerEventMax": explained.cost.steps, "bytesPerProfileMax": explained.cost.bytes},
        "leaves": leaves,
    }


def render_answer(answer: Answer) -> dict[str, Any]:
    """`member` is what holds now; `recorded` what the stored state says, as of the profile's last fact or deadline.
    `note`: by what the answer is, while the profile has not come over to the newest version; else null."""
    return {
        "segmentId": answer.segment.id,
        "segmentName": answer.segment.name,
        "version": answer.version,
        "profileId": answer.profile_id,
        "evaluatedAt": format_instant(answer.at),
        "member": answer.since is not None,
        "since": _instant(answer.since),
        "note": answer.note,
        "recorded": {"member": answer.recorded, "asOf": _instant(answer.recorded_at)},
        "nextChange": _instant(answer.evidence.changes_at),
        "text": str(answer.evidence),
        "tree": render_evidence(answer.evidence, answer.counted),
    }


def render_evidence(evidence: pql.Evidence, counted: Mapping[int, Fact]) -> dict[str, Any]:
    """One part of the evaluated tree. `eventCount` counts all events, `events` shows the newest 100 by time."""
    return {
        "text": evidence.text,
        "value": _shown(evidence.value, 0),
        "changesAt": _instant(evidence.changes_at),
        "eventCount": len(evidence.events),
        "events": [_event(hashed, counted.get(hashed)) for hashed in evidence.events[-_EVENTS_MAX:]],
        "parts": [render_evidence(part, counted) for part in evidence.parts],
    }


def _event(hashed: int, fact: Fact | None) -> dict[str, Any]:
    """An event by the hash that the state keeps; the rest is null when the log's newest records lack it."""
    return {
        "id": fact.id if fact else None,
        "eventType": fact.event_type if fact else None,
        "timestamp": format_instant(fact.occurred_at) if fact else None,
        "hash": f"{hashed:016x}",
    }


def _instant(at: int | None) -> str | None:
    """RFC 3339; what lies beyond year 9999 is shown as never."""
    try:
        return None if at is None else format_instant(at)
    except OverflowError:
        return None


def _shown(value: Any, depth: int) -> Any:
    """A value as JSON, cut to what people read."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() if depth < _DEPTH_MAX:
            return {str(name): _shown(item, depth + 1) for name, item in list(value.items())[:_ITEMS_MAX]}
        case list() | tuple() | set() | frozenset() if depth < _DEPTH_MAX:
            return [_shown(item, depth + 1) for item in list(value)[:_ITEMS_MAX]]
    return str(value)[:200]
