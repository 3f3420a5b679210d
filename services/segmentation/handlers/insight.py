"""Questions about segments: what will an expression cost, and why is this person in or out."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

from services.segmentation.domain.adoption import come_over
from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.replay import Replay
from services.segmentation.domain.state import Seed, State
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.ports import Applied, FactLog, LiveProfiles, UnionSchemas
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.clock import Clock, Micros
from shared.kernel.errors import Reason, Rejected, Retryable

_LOOK_UP_LIMIT_S = 3.0
_COUNTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a profile is in a segment at `at` (µs) or not.

    `since`: when it entered, None while outside. `recorded`: whether the stored state, as of `recorded_at` (µs), has
    it inside; the two differ until a definition newer than the profile's last fact takes effect. `counted`: the
    events that count, by hash, as far as the log's newest records hold them. `note`: while the profile has not come
    over to the newest version, by what the answer is; None otherwise.
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
    note: str | None


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

        While definitions change, the answer is by those that the profile lives under, or for a segment that these do
        not know, as it will be once the profile has come over. Raises Rejected (not_found) for an unknown segment or
        profile, Retryable until this process runs the segment, or when a profile's history cannot be read.
        """
        segment = await self._segments.get_segment(segment_id)
        newest = self._running.current()
        if segment_id not in newest.versions:
            raise Retryable(f"segment {segment_id!r} is defined, but this process does not run it yet")
        state = await self._profiles.get(profile_id)
        if state is None:
            message = f"there is no profile {profile_id!r}: no fact of it has been decided on"
            raise Rejected(message, Reason.NOT_FOUND)
        recorded, recorded_at = segment_id in state.engine.members, state.engine.now
        now = recorded_at if self._wall is None else max(recorded_at, self._wall.now())
        running, note = self._running.under(state.engine.plan), None
        if segment_id not in running.versions:
            note = await self._bring_over(state, profile_id, running, newest, now)
            running = newest
        version = running.versions[segment_id]
        if note is None and version != newest.versions[segment_id]:
            note = (
                f"the profile has not come over to version {newest.versions[segment_id]} yet; until then version "
                f"{version} decides, and this is its answer"
            )
        profile = pql.Profile(profile_id, state.attributes)
        # The copy is brought to now first: a segment that others refer to may have changed by time alone.
        engine = pql.due(running.plan, state.engine, profile, now).state
        evidence = pql.why(running.plan, engine, profile, segment_id, now)
        counted = await self._counted(profile_id, evidence)
        since = engine.members.get(segment_id)
        return Answer(segment, version, profile_id, now, since, recorded, recorded_at, evidence, counted, note)

    async def _bring_over(self, state: State, profile_id: str, old: Definitions, new: Definitions, now: int) -> str:
        """Brings a copy of a state over as the backfill will; returns what to say of that. Raises Retryable."""
        plan, history, seen = pql.history_plan(old.plan, new.plan), b"", ""
        if plan is not None:
            facts, whole = await self._history(profile_id)
            replay = Replay(plan, 0, 0, 1)
            for offset, fact in enumerate(facts):
                replay.observe(offset, fact)
            history = replay.history(profile_id)
            seen = "" if whole else f", as far as the newest {self._look_up_rows_max:,} records of its partition tell"
        state.seed = Seed("", Micros(max(now, state.engine.now)), history)
        state.engine = come_over(state, profile_id, old, new)[-1].state
        return f"the profile has not come over to this segment yet; this is what it will find{seen}"

    async def _history(self, profile_id: str) -> tuple[list[Fact], bool]:
        """Returns a profile's facts, oldest first, of the log's newest records, and whether that is all there ever was.

        Raises Retryable when the log does not answer.
        """
        partition = partition_of(profile_id, KEYED_PARTITIONS)
        facts: list[Fact] = []
        try:
            async with asyncio.timeout(_LOOK_UP_LIMIT_S):
                (extent,) = [found for found in await self._log.extents() if found.partition == partition]
                async with aclosing(self._log.newest_of(profile_id, self._look_up_rows_max)) as batches:
                    async for batch in batches:
                        facts += batch
        except TimeoutError:
            return facts[::-1], False
        return facts[::-1], extent.start == 0 and extent.rows <= self._look_up_rows_max

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
