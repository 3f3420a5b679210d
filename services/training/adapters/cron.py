"""Cron expressions by croniter, five fields, in UTC."""

from datetime import UTC, datetime

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]

from shared.kernel.clock import SECOND
from shared.kernel.errors import Rejected

_FIELDS = 5


class CroniterCron:
    """Implements the port `Cron`."""

    def latest_slot(self, cron: str, now: int) -> int:
        if len(cron.split()) != _FIELDS or not croniter.is_valid(cron):
            raise Rejected(
                f"{cron[:80]!r} is not a cron expression of five fields, such as '0 3 * * 1' (Mondays 03:00)"
            )
        # get_prev is strict, so a slot that is exactly now is asked for from one second later.
        start = datetime.fromtimestamp(now // SECOND + 1, UTC)
        try:
            return int(croniter(cron, start).get_prev(float)) * SECOND
        except CroniterBadDateError as error:
            raise Rejected(f"cron expression {cron!r} has no slot: {error}") from None
