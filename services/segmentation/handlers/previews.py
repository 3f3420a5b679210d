"""Previews: who would be in a segment, tried on a sample of the retained log before anything is defined."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from services.segmentation.domain.sampling import Estimate, Sample, estimate, sample_plan
from services.segmentation.handlers.pace import Turns
from services.segmentation.ports import Applied, Background, FactLog, UnionSchemas
from shared import pql
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.clock import Clock
from shared.kernel.errors import FreshetError, Reason, Rejected

_KEPT_MAX = 20
"""Previews remembered; the oldest finished one is forgotten first."""
_IDS_MAX = 10_000
"""Members kept of a finished preview; their number is exact, the list is not longer."""

PreviewState = Literal["RUNNING", "RESULT_READY", "FAILED"]


@dataclass
class Preview:
    """One expression tried on the people of `partitions`.

    Row counts are records of the log: `rows_all` in every partition, `rows` in those sampled. The other numbers are
    as of what has been read; `ids` come at the end, in order, at most 10,000. `error` says why it FAILED.
    """

    id: str
    execution_id: str
    partitions: range
    state: PreviewState = "RUNNING"
    error: str = ""
    rows_all: int = 0
    rows: int = 0
    rows_read: int = 0
    profiles_read: int = 0
    matched: int = 0
    namespaces: Mapping[str, int] = field(default_factory=dict)
    ids: Sequence[str] = ()

    @property
    def estimate(self) -> Estimate:
        return estimate(self.matched, len(self.partitions), KEYED_PARTITIONS)

    def note(self, sample: Sample) -> None:
        """Takes over how far a sample has come."""
        self.rows_read = min(sample.rows, self.rows)
        self.profiles_read = sample.profiles
        self.matched = len(sample.members)


class PreviewHandlers:
    """Guarantee: a preview takes at most half of the event loop's time and memory bounded by `profiles_max`, and ends
    with a result, or FAILED with the reason. Previews live in this process only: a restart forgets them.

    `wall` None: the stream clock, so that now is the newest log time of the sample.
    """

    def __init__(
        self,
        running: Applied,
        schemas: UnionSchemas,
        log: FactLog,
        background: Background,
        wall: Clock | None,
        new_id: Callable[[], str],
        profiles_max: int,
    ) -> None:
        self._running = running
        self._schemas = schemas
        self._log = log
        self._background = background
        self._wall = wall
        self._new_id = new_id
        self._profiles_max = profiles_max
        self._previews: dict[str, Preview] = {}

    async def open(self, expression: str, partitions: int) -> Preview:
        """Starts a preview over the first `partitions` of the log.

        The same partitions each time, so that two expressions are compared on the same people. Raises PqlError, or
        Retryable when too many previews are running.
        """
        if not 1 <= partitions <= KEYED_PARTITIONS:
            raise Rejected(f"samplePartitions is 1 to {KEYED_PARTITIONS}, found {partitions}")
        compiled = pql.compile_segment(expression, await self._schemas.union())
        preview = Preview(self._new_id(), self._new_id(), range(partitions))
        plan = sample_plan(self._running.current().plan, preview.id, compiled)
        self._background.start_job(preview.id, lambda: self._run(preview, plan))
        self._previews[preview.id] = preview
        self._forget_oldest()
        return preview

    def get(self, preview_id: str) -> Preview:
        """Returns a preview as far as it has come. Raises Rejected (not_found)."""
        preview = self._previews.get(preview_id)
        if preview is None:
            message = f"there is no preview {preview_id!r}: it was deleted, or forgotten after {_KEPT_MAX} newer ones"
            raise Rejected(f"{message} or a restart; POST it again", Reason.NOT_FOUND)
        return preview

    async def remove(self, preview_id: str) -> None:
        """Forgets a preview, and ends it if it is still running. Raises Rejected (not_found)."""
        self.get(preview_id)
        del self._previews[preview_id]
        await self._background.cancel(preview_id)

    def _forget_oldest(self) -> None:
        ended = [id_ for id_, preview in self._previews.items() if preview.state != "RUNNING"]
        for id_ in ended[: max(0, len(self._previews) - _KEPT_MAX)]:
            del self._previews[id_]

    async def _run(self, preview: Preview, plan: pql.Plan) -> None:
        sample = Sample(plan, preview.id, self._profiles_max)
        try:
            await self._replay(preview, sample)
            await self._bring_forward(preview, sample)
            preview.namespaces = sample.members_by_namespace()
            preview.ids = heapq.nsmallest(_IDS_MAX, sample.members)
            preview.rows_read = preview.rows
            preview.state = "RESULT_READY"
        except FreshetError as error:
            preview.error = str(error)
        finally:
            if preview.state == "RUNNING":
                preview.state = "FAILED"
                preview.error = preview.error or "it ended before its time: the process stopped, or its log says why"

    async def _replay(self, preview: Preview, sample: Sample) -> None:
        extents = await self._log.extents()
        chosen = [extent for extent in extents if extent.partition in preview.partitions]
        preview.rows_all = sum(extent.rows for extent in extents)
        preview.rows = sum(extent.rows for extent in chosen)
        turns = Turns()
        async with aclosing(self._log.read(chosen)) as batches:
            async for facts in batches:
                turns.begin()
                for fact in facts:
                    sample.observe(fact)
                    await turns.rest()
                preview.note(sample)

    async def _bring_forward(self, preview: Preview, sample: Sample) -> None:
        """Lets time pass for everybody, so that the result is membership now and not at each one's last fact."""
        now = sample.log_time if self._wall is None else max(sample.log_time, self._wall.now())
        turns = Turns()
        for profile_id in sample.profile_ids():
            sample.bring_forward(profile_id, now)
            await turns.rest()
        preview.note(sample)
