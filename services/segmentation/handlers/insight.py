"""Questions about segments: what will an expression cost, and why is this person in or out."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.ports import Applied, FactLog, LiveProfiles, UnionSchemas
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.kernel.clock import Clock
from shared.kernel.errors import Reason, Rejected, Retryable

_LOOK_UP_LIMIT_S = 3.0
_COUNTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a profile is in a segment at `at` (µs) or not.

    `since`: when it entered, None while outside. `recorded`: whether the stored state, as of `recorded_at` (µs), has
    it inside; the two differ until a definition newer than the profile's last fact takes effect. `counted`: the
    events that count, by hash, as far as the log's newest records hold them.
    """

    segment: SegmentDefinition
    version: int
    profile_id: str
    at: int
    since: int | None
    recorded: bool
    recorded_at: int
    evidence: pql.Evidence
    counted: Mapping[int, Fact]


class InsightHandlers:
    """Guarantee: asking changes nothing. `wall` None: the stream clock, answers are as of the profile's last fact."""

    def __init__(
        self,
        segments: DefinitionHandlers,
        schemas: UnionSchemas,
        running: Applied,
        profiles: LiveProfiles,
        log: FactLog,
        wall: Clock | None,
        look_up_rows_max: int,
    ) -> None:
        self._segments = segments
        self._schemas = schemas
        self._running = running
        self._profiles = profiles
        self._log = log
        self._wall = wall
        self._look_up_rows_max = look_up_rows_max

    async def explain(self, expression: str) -> pql.Explanation:
        """Says how an expression would be run. Raises PqlError for one that does not compile."""
        compiled = pql.compile_segment(expression, await self._schemas.union())
        return pql.explanation(compiled)

    async def explain_segment(self, segment_id: str) -> tuple[SegmentDefinition, pql.Explanation]:
        """Says how a stored segment is run. Raises Rejected (not_found)."""
        segment = await self._segments.get_segment(segment_id)
        return segment, await self.explain(segment.expression)

    async def why(self, segment_id: str, profile_id: str) -> Answer:
        """Evaluates a segment for a profile now, on a copy of its state.

        While definitions change, the answer is by those that the profile lives under. Raises Rejected (not_found) for
        an unknown segment or profile, Retryable while the profile has not yet come over to the segment.
        """
        segment = await self._segments.get_segment(segment_id)
        if segment_id not in self._running.current().versions:
            raise Retryable(f"segment {segment_id!r} is defined, but this process does not run it yet")
        state = await self._profiles.get(profile_id)
        if state is None:
            message = f"there is no profile {profile_id!r}: no fact of it has been decided on"
            raise Rejected(message, Reason.NOT_FOUND)
        running = self._running.under(state.engine.plan)
        version = running.versions.get(segment_id)
        if version is None:
            raise Retryable(
                f"segment {segment_id!r} is defined, but profile {profile_id!r} has not come over to it yet"
            )
        recorded, recorded_at = segment_id in state.engine.members, state.engine.now
        now = recorded_at if self._wall is None else max(recorded_at, self._wall.now())
        profile = pql.Profile(profile_id, state.attributes)
        # The copy is brought to now first: a segment that others refer to may have changed by time alone.
        engine = pql.due(running.plan, state.engine, profile, now).state
        evidence = pql.why(running.plan, engine, profile, segment_id, now)
        counted = await self._counted(profile_id, evidence)
        since = engine.members.get(segment_id)
        return Answer(segment, version, profile_id, now, since, recorded, recorded_at, evidence, counted)

    async def _counted(self, profile_id: str, evidence: pql.Evidence) -> dict[int, Fact]:
        """Finds the events that the evidence counts. The state knows their hashes only; the log knows the rest.

        Looks back a bounded way: an answer without some ids now is worth more than a complete one too late.
        """
        wanted = set(_hashes(evidence))
        found: dict[int, Fact] = {}
        if not wanted:
            return found
        try:
            async with asyncio.timeout(_LOOK_UP_LIMIT_S):
                async with aclosing(self._log.newest_of(profile_id, self._look_up_rows_max)) as batches:
                    async for facts in batches:
                        for fact in facts:
                            hashed = pql.event_hash(fact.id)
                            if fact.type == "event" and hashed in wanted:
                                found.setdefault(hashed, fact)
                        if len(found) == len(wanted):
                            break
        except (TimeoutError, Retryable):
            return found
        return found


def _hashes(evidence: pql.Evidence) -> list[int]:
    found = list(evidence.events[-_COUNTED_MAX:])
    for part in evidence.parts:
        found += _hashes(part)
    return found
