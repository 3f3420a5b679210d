"""Served and replayed vectors are the same numbers, bit by bit: the promise that training rests on."""

from collections.abc import Iterable
from random import Random

import msgspec
import pytest

from services.segmentation import stream
from services.segmentation.domain.definitions import compile_definitions
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, FEATURE_VECTORS
from shared.features.replay import FeatureReplay, compile_feature_set
from shared.kernel.clock import DAY
from shared.pql import Schema
from shared.runtime.driver import TopologyDriver
from tests.support.shop_log import SHOP_FEATURES, shop_log


def served(
    facts: Iterable[Fact], batch_rows_max: int, partition: int | None = None
) -> dict[tuple[str, int], tuple[float, ...]]:
    """The vectors that segmentation emits, by profile and instant; the last of an instant counts."""
    definitions = compile_definitions((), (SHOP_FEATURES,), Schema.permissive())
    driver = TopologyDriver(stream.stage(lambda: definitions), batch_rows_max=batch_rows_max)
    for fact in facts:
        driver.send(EVENTS, fact.profile_id, fact, partition=partition)
    driver.settle()
    assert driver.rejected == []
    return {(w.value.profile_id, w.value.as_of): w.value.values for w in driver.read(FEATURE_VECTORS)}


def replayed(facts: Iterable[Fact]) -> dict[tuple[str, int], tuple[float, ...]]:
    replay = FeatureReplay(SHOP_FEATURES, compile_feature_set(SHOP_FEATURES))
    vectors: dict[tuple[str, int], tuple[float, ...]] = {}
    for fact in facts:
        moment = replay.apply(fact)
        if moment is not None and moment.touched:
            vectors[moment.profile_id, moment.at] = replay.values(moment)
    return vectors


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_vector_that_was_served_is_replayed_bit_by_bit(seed: int) -> None:
    facts = shop_log(profiles=40, seed=seed)

    assert served(facts, batch_rows_max=1) == replayed(facts)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_vectors_of_a_log_whose_times_go_back_are_replayed_too(seed: int) -> None:
    """As when a second ingestion writes behind the first: by up to three days, across windows that close meanwhile."""
    random, facts = Random(seed), shop_log(profiles=10, seed=seed)
    for index in random.sample(range(len(facts)), len(facts) // 5):
        earlier = facts[index].received_at - random.randrange(3 * DAY)
        facts[index] = msgspec.structs.replace(facts[index], received_at=earlier)

    assert served(facts, batch_rows_max=1, partition=0) == replayed(facts)


def test_vectors_served_in_batches_are_among_the_replayed() -> None:
    facts = shop_log(profiles=40, seed=4)

    in_batches = served(facts, batch_rows_max=50)

    assert 0 < len(in_batches) <= len(replayed(facts))
    assert in_batches.items() <= replayed(facts).items()


def test_profiles_do_not_depend_on_each_other() -> None:
    facts = shop_log(profiles=10)
    one = Random(3).choice([fact.profile_id for fact in facts])

    alone = replayed(fact for fact in facts if fact.profile_id == one)

    assert alone == {key: values for key, values in replayed(facts).items() if key[0] == one}
