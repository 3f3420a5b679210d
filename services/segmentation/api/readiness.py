"""How far a definition has been taken up, as the API shows it."""

from typing import Any

from services.segmentation.domain.readiness import Answer, Progress
from shared.kernel.clock import format_instant


def render_readiness(answer: Answer) -> dict[str, Any]:
    """`state`: starting, backfilling, ready, or unknown while Redis does not answer. `historyFrom`: history before that
    instant was not seen, because the log no longer holds it; null where all was."""
    return {
        "state": answer.state,
        "runningVersion": answer.running_version,
        "partitionsReady": answer.partitions_ready,
        "partitions": answer.partitions,
        "progress": None if answer.progress is None else _progress(answer.progress),
        "historyFrom": None if answer.history_from is None else format_instant(answer.history_from),
    }


def _progress(progress: Progress) -> dict[str, Any]:
    """`share` from 0 to 1; `recordsRead` of `recordsTotal` for the slices under way; `etaS` in seconds, if known."""
    return {
        "share": round(progress.share, 4),
        "profiles": progress.profiles,
        "recordsRead": progress.rows,
        "recordsTotal": progress.rows_all,
        "recordsPerS": round(progress.rows_per_s, 1),
        "etaS": None if progress.eta_s is None else round(progress.eta_s, 1),
    }
