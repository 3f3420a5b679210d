"""Training examples: taken as they were served, labelled by what followed, censored at the log's end."""

from collections.abc import Iterable

import pytest

from shared.contracts.facts import Fact
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.features.examples import Example, ExampleBuilder, ExampleRule, LogSpan, settled
from shared.features.replay import FeatureReplay, compile_feature_set
from shared.kernel.clock import DAY, HOUR
from shared.kernel.errors import Rejected
from tests.support.shop_log import CART, PURCHASE, SHOP_FEATURES, START, VIEW, event, record, shop_log

RULE = ExampleRule(label=PURCHASE, horizon=7 * DAY, per_profile=100)


def build(facts: Iterable[Fact], rule: ExampleRule = RULE) -> ExampleBuilder:
    builder = ExampleBuilder(rule, FeatureReplay(SHOP_FEATURES, compile_feature_set(SHOP_FEATURES)))
    for fact in facts:
        builder.add(fact)
    return builder


def at_day(examples: Iterable[Example]) -> dict[float, Example]:
    return {(example.at - START) / DAY: example for example in examples}


def test_a_vector_is_what_was_known_at_its_moment_in_arrival_order() -> None:
    late = event("p", 2, CART, START, received_at=START + 2 * DAY)
    facts = [event("p", 1, VIEW, START), event("p", 3, VIEW, START + DAY), late, event("p", 4, VIEW, START + 3 * DAY)]

    taken = at_day(build(facts).harvest())

    assert {day: example.values[:2] for day, example in taken.items()} == {
        0: (1.0, 0.0),
        1: (2.0, 0.0),
        2: (2.0, 1.0),
        3: (3.0, 1.0),
    }


def test_windows_end_and_attributes_and_defaults_are_as_served() -> None:
    facts = [
        event("p", 1, CART, START),
        record("p", 1, START + DAY, loyalty={"points": 5}),
        event("p", 2, VIEW, START + 8 * DAY),
    ]

    taken = at_day(build(facts).harvest())

    assert taken[0].values == (0.0, 1.0, 0.0, -1.0)
    assert taken[1].values == (0.0, 1.0, 0.0, 5.0)
    assert taken[8].values == (1.0, 0.0, 0.0, 5.0)


def test_a_conversion_labels_the_moments_in_the_horizon_before_it_but_not_its_own() -> None:
    visits = [event("p", n, VIEW, START + n * DAY) for n in (0, 1, 7)]
    bought = event("p", 9, PURCHASE, START + 8 * DAY, commerce={"order": {"priceTotal": 5}})

    taken = at_day(build([*visits, bought]).harvest())

    assert {day: example.label for day, example in taken.items()} == {0: False, 1: True, 7: True, 8: False}


def test_a_late_conversion_counts_by_when_it_occurred() -> None:
    visit = event("p", 1, VIEW, START + DAY)
    before = event("p", 2, PURCHASE, START + DAY - 1, received_at=START + DAY + HOUR)

    taken = at_day(build([visit, before]).harvest())

    assert taken[1].label is False


def test_another_profiles_conversion_labels_nothing() -> None:
    taken = build([event("p", 1, VIEW, START), event("q", 1, PURCHASE, START + DAY)]).harvest()

    assert [example.label for example in taken] == [False, False]


def test_moments_whose_horizon_is_not_over_are_left_out_even_when_they_converted() -> None:
    facts = [event("p", 1, VIEW, START), event("p", 2, VIEW, START + DAY), event("p", 3, PURCHASE, START + 2 * DAY)]
    builder = build(facts)

    kept = settled(builder.harvest(), START + 8 * DAY - 1, RULE)

    assert list(at_day(kept)) == [0]


def test_repeated_facts_give_no_second_example() -> None:
    fact = event("p", 1, VIEW, START)

    taken = build([fact, fact, event("p", 2, VIEW, START + DAY), fact]).harvest()

    assert [example.values[0] for example in taken] == [1.0, 2.0]


def test_scores_and_ticks_are_no_moments_of_their_own() -> None:
    tick = Fact("t", "tick", "default", "", START + DAY, START + DAY)
    score = Fact("s", "score", "default", "p", START, START, "freshet-scores", body={"loyalty": {"points": 3}})
    builder = build([event("p", 1, VIEW, START), score, tick])

    assert len(builder.harvest()) == 1
    assert builder.span.last_at == START + DAY


def test_at_most_so_many_moments_of_a_profile_are_taken_the_same_ones_each_time() -> None:
    facts = shop_log(profiles=20)
    few = ExampleRule(PURCHASE, 7 * DAY, per_profile=3, seed=5)

    many = ExampleRule(PURCHASE, 7 * DAY, per_profile=1000, seed=5)

    once, again, every = (build(facts, rule).harvest() for rule in (few, few, many))

    assert once == again
    assert max(sum(e.profile_id == f"{n:032x}" for e in once) for n in range(20)) == 3
    assert all(any(e == one for e in every) for one in once)
    assert {e.at for e in once} != {e.at for e in build(facts, ExampleRule(PURCHASE, 7 * DAY, 3, seed=6)).harvest()}


def test_a_log_that_is_too_short_is_explained_in_days() -> None:
    span = build([event("p", 1, VIEW, START), event("p", 2, VIEW, START + 3 * DAY)]).span

    assert "(3.00 days); a label needs 7.00 days" in span.explain(RULE)
    assert LogSpan().explain(RULE) == "the log is empty"


def test_a_feature_that_does_not_compile_is_named() -> None:
    wrong = FeatureSetDefinition("shop", 1, (FeatureDefinition("broken", "xEvent[.count()"),))

    with pytest.raises(Rejected, match="feature 'broken' of set 'shop'"):
        compile_feature_set(wrong)
