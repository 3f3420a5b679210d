"""A sample of people gives the stream's answer for them, and an honest estimate for all."""

import math
from statistics import fmean, pstdev

import pytest

from services.segmentation.domain.profiles import ProfileStates
from services.segmentation.domain.sampling import Sample, estimate, sample_plan
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS
from shared.kernel.clock import DAY
from shared.kernel.errors import Reason, Rejected
from tests.unit.services.segmentation.builders import BOUGHT_THIS_WEEK, Shop


def expression(text: str) -> pql.Expression:
    return pql.compile_segment(text, pql.Schema.permissive())


def sampled(shop: Shop, text: str, profiles_max: int = 1_000) -> Sample:
    """A sample of everybody, with all the facts of the log."""
    sample = Sample(sample_plan(shop.running.plan, "preview", expression(text)), "preview", profiles_max)
    for written in shop.driver.read(EVENTS):
        sample.observe(written.value)
    return sample


def test_an_estimate_scales_by_the_share_of_people_with_the_binomial_error() -> None:
    found = estimate(100, 2, 8)

    assert 400 == found.size
    assert math.sqrt(100 * 0.75) / 0.25 == pytest.approx(found.standard_error)
    assert (332, 468) == (found.low, found.high)


def test_all_partitions_are_exact() -> None:
    found = estimate(37, 8, 8)

    assert (37, 0.0, 37, 37) == (found.size, found.standard_error, found.low, found.high)


def test_nobody_found_in_a_sample_does_not_mean_that_there_is_nobody() -> None:
    found = estimate(0, 1, 8)

    assert 0 == found.size
    assert (7 / 8) ** found.high >= 0.05 > (7 / 8) ** (found.high + 1)


def test_the_stated_error_is_the_spread_over_real_partitions() -> None:
    """2,000 made-up people, half of them members: the eight one-partition samples scatter as the formula says."""
    members = [f"person-{number}" for number in range(2_000)]
    found = [estimate(sum(partition_of(m, 8) == p for m in members), 1, 8) for p in range(8)]

    assert 2_000 == pytest.approx(fmean(one.size for one in found))
    assert pstdev(one.size for one in found) < 2 * fmean(one.standard_error for one in found)
    assert 7 <= sum(one.low <= 2_000 <= one.high for one in found)


def test_a_sample_of_everybody_has_the_streams_members_exits_by_time_included() -> None:
    shop = Shop()
    shop.run(SegmentDefinition("week", "week", BOUGHT_THIS_WEEK, 1))
    for number in range(40):
        shop.event(f"e{number}", number % 20 * DAY, profile=f"p{number}")
    shop.tick(20 * DAY)

    sample = sampled(shop, BOUGHT_THIS_WEEK)
    for profile in sample.profile_ids():
        sample.bring_forward(profile, 20 * DAY)

    assert shop.members("week") == sample.members
    assert 14 == len(sample.members)
    assert (40, 20 * DAY) == (sample.profiles, sample.log_time)


def test_attributes_count_where_the_expression_asks_for_them() -> None:
    shop = Shop()
    shop.record("r1", 1, "a", homeAddress={"countryCode": "KR"})
    shop.record("r2", 2, "b", homeAddress={"countryCode": "JP"})
    shop.event("e1", 3, "c")

    assert {"a"} == sampled(shop, 'homeAddress.countryCode = "KR"').members


def test_somebody_known_by_attributes_only_is_judged_too() -> None:
    shop = Shop()
    shop.record("r1", 1, "a", homeAddress={"countryCode": "KR"})
    shop.event("e1", 3, "b")

    assert {"a"} == sampled(shop, "xEvent.count() = 0").members


def test_running_segments_that_are_referred_to_come_along_to_any_depth() -> None:
    shop = Shop()
    shop.run(
        SegmentDefinition("1", "korean", 'homeAddress.countryCode = "KR"', 1),
        SegmentDefinition("2", "korean buyer", 'inSegment("korean") and xEvent.count() > 0', 1),
        SegmentDefinition("3", "other", "xEvent.count() > 99", 1),
    )
    shop.record("r1", 1, "a", homeAddress={"countryCode": "KR"})
    shop.event("e1", 2, "a")
    shop.event("e2", 3, "b")

    sample = sampled(shop, 'inSegment("korean buyer")')

    assert {"a"} == sample.members
    assert {"1", "2", "preview"} == set(sample.plan.positions)


def test_a_reference_to_a_segment_that_does_not_run_is_refused_by_name() -> None:
    with pytest.raises(Rejected, match="refers to segment 'nobody'") as refused:
        sample_plan(Shop().running.plan, "preview", expression('inSegment("nobody")'))

    assert Reason.EXPRESSION == refused.value.reason


def test_a_sample_with_too_many_people_is_refused() -> None:
    shop = Shop()
    for number in range(4):
        shop.event(f"e{number}", number, profile=f"p{number}")

    with pytest.raises(Rejected, match="more than 3 people; sample fewer partitions"):
        sampled(shop, BOUGHT_THIS_WEEK, profiles_max=3)


def test_a_packed_state_counts_on() -> None:
    shop = Shop()
    for number in range(30):
        shop.event(f"e{number}", number, profile=f"p{number % 10}")
    sample = Sample(
        sample_plan(shop.running.plan, "preview", expression("xEvent.count() >= 3")),
        "preview",
        1_000,
        _states=ProfileStates(unpacked_max=2),
    )

    for written in shop.driver.read(EVENTS):
        sample.observe(written.value)

    assert 10 == len(sample.members) == sample.profiles


def test_members_are_counted_by_the_namespaces_of_their_identities() -> None:
    shop = Shop()
    shop.event("e1", 1, "a")
    shop.event("e2", 2, "b", type_="view")

    assert {"Email": 1} == sampled(shop, BOUGHT_THIS_WEEK).members_by_namespace()
