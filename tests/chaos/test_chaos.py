"""Everything is exact after each family of faults, on the real broker and Redis: the three-minute version. At its end
Redis is lost once more, and rebuild, restored copy and replay give the digests of before.

`make chaos` is the long one, with every kind of fault again and again over a million events.
"""

import json
import sys

import pytest

from tests.chaos.faults import SHORT
from tests.chaos.outcome import Plan
from tests.chaos.run import run

pytestmark = [pytest.mark.platform, pytest.mark.chaos]

PLAN = Plan(seed=5, events=60_000, people=1_200, send_s=88.0, faults=SHORT, again=False)


@pytest.mark.timeout(600)
async def test_nothing_is_lost_doubled_or_out_of_order_whatever_is_killed_frozen_cut_or_wiped() -> None:
    outcome = await run(PLAN, lambda line: sys.stderr.write(f"{line}\n"))

    sys.stderr.write(f"{json.dumps(outcome.report(), indent=1)}\n")
    assert {} == dict(outcome.findings.violations), outcome.findings.examples
    assert [] == outcome.unrecovered
    assert set(SHORT) == set(outcome.recoveries)
    assert outcome.notes["redis came back older"] > 0
    assert outcome.notes["redis refused writes"] > 0
    assert outcome.findings.checked["repeated facts"] > 0
    assert outcome.figures["over_http"]["answered_2xx"] > 0
    assert PLAN.events == outcome.figures["events"]
