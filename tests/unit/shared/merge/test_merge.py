"""Merging depends on the set of records, not on their order, repetition or grouping."""

from itertools import permutations
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.facts import Fact, FactType
from shared.merge import Fragments, apply, merged, sources, union
from shared.merge import tree as trees


def record(at: int, body: dict[str, Any], dataset: str = "crm", type_: FactType = "record", id_: str = "") -> Fact:
    return Fact(id_ or f"r{at}", type_, "default", "p", at, at, dataset, body=body)


def attributes(*facts: Fact) -> dict[str, Any]:
    fragments = Fragments()
    for fact in facts:
        apply(fragments, fact)
    return merged(fragments)


def test_the_newest_log_time_wins_leaf_by_leaf() -> None:
    old = record(1, {"person": {"name": {"firstName": "Ann", "lastName": "Lee"}}})
    new = record(2, {"person": {"name": {"firstName": "Anna"}}})

    result = attributes(new, old)

    assert result == {"person": {"name": {"firstName": "Anna", "lastName": "Lee"}}}


def test_the_newest_wins_across_datasets_too() -> None:
    result = attributes(
        record(3, {"person": {"birthYear": 1990}}, dataset="shop"),
        record(2, {"person": {"birthYear": 1991, "gender": "female"}}, dataset="crm"),
    )

    assert result == {"person": {"birthYear": 1990, "gender": "female"}}


def test_equal_log_times_are_decided_by_the_fact_and_not_by_the_order() -> None:
    facts = [record(1, {"tier": name}, id_=name) for name in ("gold", "silver", "bronze")]

    results = {attributes(*order)["tier"] for order in permutations(facts)}

    assert len(results) == 1


def test_null_deletes_a_field_even_when_the_older_value_arrives_later() -> None:
    set_ = record(1, {"loyalty": {"tier": "gold", "points": 7}})
    unset = record(2, {"loyalty": {"tier": None}})

    assert attributes(set_, unset) == {"loyalty": {"points": 7}}
    assert attributes(unset, set_) == {"loyalty": {"points": 7}}


def test_null_at_an_object_deletes_all_of_it_but_what_came_afterwards() -> None:
    facts = [
        record(1, {"loyalty": {"tier": "gold", "points": 7}}),
        record(2, {"loyalty": None}),
        record(3, {"loyalty": {"points": 1}}),
    ]

    assert all(attributes(*order) == {"loyalty": {"points": 1}} for order in permutations(facts))


def test_arrays_are_replaced_whole() -> None:
    result = attributes(record(1, {"tags": ["a", "b"]}), record(2, {"tags": ["c"]}))

    assert result == {"tags": ["c"]}


def test_identity_maps_unite() -> None:
    result = attributes(
        record(1, {"identityMap": {"Email": [{"id": "a@x"}]}}),
        record(2, {"identityMap": {"Email": [{"id": "b@x", "primary": True}], "ECID": [{"id": "1"}]}}),
    )

    assert result == {"identityMap": {"ECID": [{"id": "1"}], "Email": [{"id": "b@x", "primary": True}, {"id": "a@x"}]}}


def test_a_score_is_a_fragment_of_the_scores_dataset() -> None:
    fragments = Fragments()
    body = {
        "_id": "s",
        "timestamp": "2026-01-01T00:00:00Z",
        "identityMap": {"ProfileId": [{"id": "0" * 32}]},
        "_freshet": {"propensity": 0.25},
    }

    apply(fragments, record(1, body, dataset="", type_="score"))

    assert sources(fragments) == ("freshet-scores",)
    assert merged(fragments) == {"_freshet": {"propensity": 0.25}}


def score(of: int, at: int, value: float) -> Fact:
    """The score of a vector as of log time `of`, accepted at `at`."""
    return Fact(f"s{of}-{value}", "score", "default", "p", of, at, "freshet-scores", body={"_freshet": {"m": value}})


def test_an_older_vectors_score_that_is_told_after_the_newest_ones_does_not_replace_it() -> None:
    """A scoring that slept through its session writes the scores of its batch behind those of its successor."""
    newest, older = score(of=20, at=25, value=0.9), score(of=10, at=90, value=0.1)

    assert all(attributes(*order) == {"_freshet": {"m": 0.9}} for order in permutations([newest, older]))


def test_of_vectors_of_one_instant_the_score_that_arrived_later_counts() -> None:
    first, second = score(of=20, at=25, value=0.1), score(of=20, at=26, value=0.9)

    assert all(attributes(*order) == {"_freshet": {"m": 0.9}} for order in permutations([first, second]))


def test_scores_of_one_instant_that_arrived_together_are_decided_by_the_fact_and_not_by_the_order() -> None:
    facts = [score(of=20, at=20, value=value) for value in (0.1, 0.5, 0.9)]

    assert len({attributes(*order)["_freshet"]["m"] for order in permutations(facts)}) == 1


def test_events_and_ticks_leave_fragments_alone() -> None:
    fragments = Fragments()

    apply(fragments, record(1, {"eventType": "x"}, type_="event"))
    apply(fragments, record(2, {}, type_="tick"))

    assert fragments == Fragments()


def test_at_the_limit_known_leaves_change_and_new_ones_are_ignored() -> None:
    fragments = Fragments()
    apply(fragments, record(1, {f"f{i}": i for i in range(trees.LEAVES_MAX)}))

    apply(fragments, record(2, {"one_more": 1, "f0": "changed"}))

    result = merged(fragments)
    assert len(result) == trees.LEAVES_MAX
    assert result["f0"] == "changed"


names = st.sampled_from("abc")
values = st.one_of(st.none(), st.integers(0, 3), st.lists(st.integers(0, 1), max_size=2))
entities = st.dictionaries(
    names, st.recursive(values, lambda inner: st.dictionaries(names, inner, max_size=3)), max_size=3
)
records = st.lists(
    st.builds(
        lambda at, id_, dataset, body: record(at, body, dataset=dataset, id_=id_),
        st.integers(1, 4),
        st.uuids().map(str),
        st.sampled_from(["crm", "shop"]),
        entities,
    ),
    max_size=8,
)


@settings(max_examples=150)
@given(records, st.randoms(use_true_random=False))
def test_order_and_repetition_of_records_do_not_matter(facts: list[Fact], random: Any) -> None:
    shuffled = [*facts, *facts[: len(facts) // 2]]
    random.shuffle(shuffled)

    straight, mixed = Fragments(), Fragments()
    for fact in facts:
        apply(straight, fact)
    for fact in shuffled:
        apply(mixed, fact)

    assert mixed == straight
    assert merged(mixed) == merged(straight)


@settings(max_examples=150)
@given(records, st.integers(0, 8))
def test_the_union_of_two_profiles_is_the_profile_of_all_records(facts: list[Fact], at: int) -> None:
    whole, left, right = Fragments(), Fragments(), Fragments()
    for index, fact in enumerate(facts):
        apply(whole, fact)
        apply(left if index < at else right, fact)

    assert union(left, right) == whole
    assert union(right, left) == whole


@settings(max_examples=150)
@given(records)
def test_merged_equals_the_naive_definition(facts: list[Fact]) -> None:
    fragments = Fragments()
    for fact in facts:
        apply(fragments, fact)

    assert merged(fragments) == naive(facts)
    assert sum(fragments.leaf_counts.values()) == sum(trees.leaf_count(tree) for tree in fragments.trees.values())


@given(records)
def test_fragments_survive_their_encoding(facts: list[Fact]) -> None:
    fragments = Fragments()
    for fact in facts:
        apply(fragments, fact)

    raw = msgspec.msgpack.encode(fragments)

    assert msgspec.msgpack.decode(raw, type=Fragments) == fragments


def naive(facts: list[Fact]) -> dict[str, Any]:
    """All leaves of all records, of which each is hidden by any newer one at, above or below its path."""
    stamped = [((fact.received_at, tie(fact)), path, value) for fact in facts for path, value in trees.cut(fact.body)]
    result: dict[str, Any] = {}
    for stamp, path, value in stamped:
        related = (p for s, p, _ in stamped if s > stamp and (p[: len(path)] == path or path[: len(p)] == p))
        if value is not None and next(related, None) is None:
            node = result
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = value
    return result


def tie(fact: Fact) -> int:
    fragments = apply(Fragments(), record(1, {"x": 1}, dataset=fact.dataset_id, id_=fact.id))
    leaf: int = fragments.trees[fact.dataset_id]["x"][1]
    return leaf
