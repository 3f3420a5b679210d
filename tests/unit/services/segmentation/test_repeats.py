"""What a crash repeats is what was said before, however the records fall into micro-batches."""

from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, PROFILE_UPDATES
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.clock import HOUR
from tests.unit.services.segmentation.test_decide import Stream, definitions

VIEW, CART = "commerce.productViews", "commerce.productListAdds"
VIEWED = f'xEvent[eventType = "{VIEW}" and timestamp occurs <= 1 hours before now]'
RECENT_VIEWS = FeatureSetDefinition("shop", 1, (FeatureDefinition("views", f"{VIEWED}.count()"),))


def fact(id_: str, at: int, type_: str = VIEW) -> Fact:
    return Fact(id_, "event", "t", "p", at, at, body={"eventType": type_})


def tier(id_: str, at: int, value: str) -> Fact:
    return Fact(id_, "record", "t", "p", at, at, dataset_id="crm", body={"loyalty": {"tier": value}})


def vectors(*batches: list[Fact]) -> dict[str, tuple[int, tuple[float, ...]]]:
    run = Stream(definitions(RECENT_VIEWS))
    for batch in batches:
        for one in batch:
            run.driver.send(EVENTS, "p", one, partition=0)
        run.driver.settle()
    return {w.value.id: (w.value.as_of, w.value.values) for w in run.driver.read(FEATURE_VECTORS)}


def test_a_vector_is_what_it_was_at_its_fact_whatever_else_the_batch_holds() -> None:
    view, later = fact("e1", 1), fact("e2", 2 * HOUR, CART)

    together, apart = vectors([view, later]), vectors([view], [later])

    assert [(1, (1.0,))] == list(together.values())
    assert together.items() <= apart.items()


def test_a_repeated_fact_behind_it_does_not_age_a_vector() -> None:
    view, again = fact("e1", 1), fact("e1", 2 * HOUR)

    assert vectors([view], [again]) == vectors([view, again])


def test_an_old_record_that_is_sent_again_does_not_come_back_as_the_newest() -> None:
    run = Stream(definitions(gold='loyalty.tier = "gold"'))

    for one in (tier("r1", 1, "gold"), tier("r2", 2, "silver"), tier("r1", 3, "gold")):
        run.send(one)

    assert [("gold", "entered", 1), ("gold", "exited", 2)] == run.changes()
    assert [] == run.driver.rejected


def test_transitions_have_the_same_numbers_whether_time_or_the_next_fact_brings_them() -> None:
    plan = {"viewed": f"{VIEWED}.count() > 0", "long_ago": f"xEvent.count() > 0 and {VIEWED}.count() = 0"}
    by_time, by_fact = Stream(definitions(**plan)), Stream(definitions(**plan))

    by_time.send(fact("e1", 1))
    by_time.tick(2 * HOUR)
    by_time.send(fact("e2", 3 * HOUR))
    by_fact.send(fact("e1", 1))
    by_fact.send(fact("e2", 3 * HOUR))

    assert by_time.changes() == by_fact.changes()
    assert by_time.memberships()[-1].sequence == by_fact.memberships()[-1].sequence == len(by_fact.changes())


def test_a_repeat_tells_what_time_has_brought_as_the_deadline_would_have_told_it() -> None:
    """Otherwise when a profile was last decided on would depend on how the log was cut into batches."""
    plan = {"viewed": f"{VIEWED}.count() > 0"}
    by_deadline, by_repeat = Stream(definitions(**plan)), Stream(definitions(**plan))

    by_deadline.send(fact("e1", 1))
    by_deadline.tick(2 * HOUR)
    by_deadline.send(fact("e1", 3 * HOUR))
    by_repeat.send(fact("e1", 1))
    by_repeat.send(fact("e1", 3 * HOUR))

    assert told(by_deadline) == told(by_repeat) == [(1, 1), (HOUR + 2, 1)]


def test_a_log_whose_times_go_back_is_decided_the_same_however_it_is_cut() -> None:
    """Another's fact has moved time past the deadline; the next one of the profile is older than that."""
    first, ahead, back = fact("e1", 1), Fact("o1", "event", "t", "q", 2 * HOUR, 2 * HOUR), fact("e2", HOUR // 2)

    outcomes = []
    for cut in ([[first, ahead, back]], [[first, ahead], [back]], [[first], [ahead, back]], [[first], [ahead], [back]]):
        run = Stream(definitions(viewed=f"{VIEWED}.count() > 0"))
        for batch in cut:
            for one in batch:
                run.driver.send(EVENTS, one.profile_id, one, partition=0)
            run.driver.settle()
        own = [value for value in run.memberships() if value.profile_id == "p"]
        outcomes.append([(t.id, t.change, t.effective_at) for value in own for t in value.transitions])

    assert [outcomes[0]] * 4 == outcomes
    assert [("entered", 1), ("exited", HOUR + 2), ("entered", HOUR + 2), ("exited", HOUR // 2 + HOUR + 1)] == [
        (change, at) for _, change, at in outcomes[0]
    ]


def told(run: Stream) -> list[tuple[int, int]]:
    """When each update was decided, and how many transitions it has."""
    return [(w.value.decided_at, len(w.value.transitions)) for w in run.driver.read(PROFILE_UPDATES)]


def test_a_deadline_before_a_record_is_judged_by_the_attributes_of_then() -> None:
    """The window's first deadline lies before the record, and a newer view keeps it open until after it."""
    run = Stream(definitions(active=f'loyalty.tier = "gold" and {VIEWED}.count() > 0'))

    run.send(tier("r1", 1, "gold"))
    run.send(fact("e1", 2))
    run.send(fact("e2", HOUR))
    run.send(tier("r2", HOUR + HOUR // 2, "bronze"))

    assert [("active", "entered", 2), ("active", "exited", HOUR + HOUR // 2)] == run.changes()
