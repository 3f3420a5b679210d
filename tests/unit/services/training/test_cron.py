"""Slots of cron expressions, in UTC."""

import pytest

from services.training.adapters.cron import CroniterCron
from shared.kernel.clock import parse_instant
from shared.kernel.errors import Rejected


@pytest.mark.parametrize(
    ("cron", "now", "slot"),
    [
        ("0 3 * * *", "2024-05-02T02:59:59Z", "2024-05-01T03:00:00Z"),
        ("0 3 * * *", "2024-05-02T03:00:00Z", "2024-05-02T03:00:00Z"),
        ("0 3 * * *", "2024-05-02T03:00:00.5Z", "2024-05-02T03:00:00Z"),
        ("*/15 * * * 1", "2024-05-07T00:10:00Z", "2024-05-06T23:45:00Z"),
    ],
)
def test_the_latest_slot_is_the_newest_at_or_before_now(cron: str, now: str, slot: str) -> None:
    assert CroniterCron().latest_slot(cron, parse_instant(now)) == parse_instant(slot)


@pytest.mark.parametrize("cron", ["", "daily", "* * * *", "61 * * * *", "* * * * * *", "0 0 30 2 *"])
def test_what_has_no_five_good_fields_or_no_slot_is_refused(cron: str) -> None:
    with pytest.raises(Rejected):
        CroniterCron().latest_slot(cron, parse_instant("2024-05-02T00:00:00Z"))
