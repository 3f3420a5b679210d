"""The synthetic source: the recorded mix of events, order, repeatability."""

from collections import Counter
from itertools import pairwise
from math import sqrt

import pytest

from shared.cli.sources.source import Datasets, SourceError
from shared.cli.sources.synthetic import SyntheticSource
from shared.cli.sources.synthetic_process import KINDS, PURCHASE, expected_counts
from shared.contracts.codec import encode

USERS = 20_000
RECORDED_USERS = 100_000
RECORDED = {
    "directMarketing.emailSent": 500_970,
    "directMarketing.emailOpened": 198_474,
    "advertising.impressions": 100_246,
    "web.webpagedetails.pageViews": 99_389,
    "directMarketing.emailClicked": 42_431,
    "decisioning.propositionDisplay": 31_639,
    "commerce.productViews": 31_545,
    "web.webinteraction.linkClicks": 31_501,
    "web.formFilledOut": 14_841,
    "advertising.clicks": 6_376,
    "decisioning.propositionDismiss": 2_554,
    "decisioning.propositionInteract": 2_540,
}
DATASETS = Datasets(events="e", profiles="p")


@pytest.fixture(scope="module")
def counts() -> Counter[str]:
    return Counter(KINDS[kind].event_type for _, _, kind in SyntheticSource(USERS, seed=7).moments())


def _deviation(rate_per_user: float) -> float:
    """Standard deviation of a count per user, taken as twice a Poisson's variance: dependents come in clusters, whose
    variance is mean + chance * (1 - chance) * mean^2 per user, which is below twice the mean for every kind here."""
    return sqrt(2 * rate_per_user)


@pytest.mark.parametrize("event_type", RECORDED)
def test_the_event_mix_is_the_recorded_one_within_sampling_error(event_type: str, counts: Counter[str]) -> None:
    rate = RECORDED[event_type] / RECORDED_USERS

    difference = counts[event_type] / USERS - rate

    error = _deviation(rate) * sqrt(1 / USERS + 1 / RECORDED_USERS)
    assert abs(difference) < 4 * error


@pytest.mark.parametrize("event_type", expected_counts(1))
def test_the_event_mix_is_the_one_of_the_process(event_type: str, counts: Counter[str]) -> None:
    mean = expected_counts(USERS)[event_type]

    assert abs(counts[event_type] - mean) < 4 * _deviation(mean / USERS) * sqrt(USERS)


def test_messages_come_in_order_of_time() -> None:
    times = [event.received_at for event in SyntheticSource(300, seed=1).read(DATASETS)]

    assert sorted(times) == times


def test_one_seed_is_one_data_set() -> None:
    first, second = ([encode(event.message) for event in SyntheticSource(100, seed=3).read(DATASETS)] for _ in range(2))

    assert first == second


def test_another_seed_is_another_data_set() -> None:
    three, four = (
        [encode(event.message) for event in SyntheticSource(50, seed=seed).read(DATASETS)] for seed in (3, 4)
    )

    assert three != four


def test_more_people_change_nobody_elses_events() -> None:
    few = list(SyntheticSource(40, seed=5).moments())
    many = [moment for moment in SyntheticSource(400, seed=5).moments() if moment[1] < 40]

    assert few == many


def test_a_person_is_introduced_before_the_first_event() -> None:
    met: set[str] = set()
    for event in SyntheticSource(200, seed=2).read(DATASETS):
        if event.kind == "record":
            met.add(event.identity.id)

        assert event.identity.id in met


def test_every_event_has_an_id_of_its_own() -> None:
    ids = [event.message.body.xdm_entity["_id"] for event in SyntheticSource(500, seed=2).read(DATASETS)]

    assert len(set(ids)) == len(ids)


def test_a_purchase_costs_the_sum_of_its_items_and_brings_loyalty_points() -> None:
    messages = list(SyntheticSource(3_000, seed=2).read(DATASETS))
    purchases = [
        (here, after)
        for here, after in pairwise(messages)
        if here.message.body.xdm_entity.get("eventType") == KINDS[PURCHASE].event_type
    ]

    assert purchases
    for here, after in purchases:
        entity = here.message.body.xdm_entity
        total = sum(item["priceTotal"] for item in entity["productListItems"])
        assert total == entity["commerce"]["order"]["priceTotal"]
        assert here.identity == after.identity
        assert after.message.body.xdm_entity["loyalty"]["points"] >= int(total)


def test_no_people_are_refused() -> None:
    with pytest.raises(SourceError, match="between 1 and"):
        SyntheticSource(0)


def test_the_expected_number_of_events_is_near_the_real_one(counts: Counter[str]) -> None:
    expected = SyntheticSource(USERS).count()

    assert abs(counts.total() - expected) < 0.02 * expected
