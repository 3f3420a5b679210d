"""The entity that readers see has XDM's shape and only the fields they ask for."""

from typing import Any

from services.profile_store.domain.entity import event_summary, profile_entity, select, sources
from shared.contracts.facts import Identity
from tests.unit.services.profile_store.builders import days, email, fact, moved, profile, transition, update


def test_the_entity_holds_attributes_identities_and_memberships() -> None:
    state = profile(
        update(fact("r1", {"person": {"birthYear": 1990}}, "record", dataset_id="crm")),
        update(fact("s1", {"_freshet": {"propensity": 0.25}}, "score", dataset_id="freshet-scores")),
        moved(days(1), {"a": days(1), "b": days(0)}, transition("a", "entered", days(1))),
        moved(days(2), {"b": days(0)}, transition("a", "exited", days(2)), of=fact("e1", identities=(email("a@x"),))),
    )

    assert profile_entity(state) == {
        "person": {"birthYear": 1990},
        "_freshet": {"propensity": 0.25},
        "identityMap": {"Email": [{"id": "a@x", "primary": False}]},
        "segmentMembership": {
            "ups": {
                "a": {"status": "exited", "lastQualificationTime": "2023-11-16T22:13:20Z", "version": 1},
                "b": {"status": "realized", "lastQualificationTime": "2023-11-14T22:13:20Z", "version": 1},
            }
        },
    }


def test_identities_of_records_and_events_are_united() -> None:
    named: dict[str, Any] = {"identityMap": {"Email": [{"id": "b@x", "authenticatedState": "authenticated"}]}}
    state = profile(
        update(fact("r1", named, "record", identities=(email("b@x"),))),
        update(fact("e1", identities=(email("a@x", True), Identity("ECID", "1")))),
    )

    assert profile_entity(state)["identityMap"] == {
        "ECID": [{"id": "1", "primary": False}],
        "Email": [{"id": "a@x", "primary": True}, {"id": "b@x", "authenticatedState": "authenticated"}],
    }


def test_making_the_entity_leaves_the_state_as_it_was() -> None:
    named: dict[str, Any] = {"identityMap": {"Email": [{"id": "b@x"}]}}
    state = profile(update(fact("r1", named, "record")), update(fact("e1", identities=(email("a@x"),))))

    first = profile_entity(state, [("identityMap",)])

    assert profile_entity(state, [("identityMap",)]) == first


def test_sources_name_the_datasets_of_records_and_events() -> None:
    state = profile(
        update(fact("r1", {"a": 1}, "record", dataset_id="crm")),
        update(fact("e1", dataset_id="web")),
        update(fact("e2", dataset_id="web")),
    )

    assert sources(state) == ["crm", "web"]


def test_the_summary_counts_events_by_type() -> None:
    state = profile(update(fact("e1", {"eventType": "view"}, at=days(0))), update(fact("e2", {"eventType": "view"})))

    assert event_summary(state) == {
        "count": 2,
        "types": {
            "view": {
                "count": 2,
                "firstOccurredAt": "2023-11-14T22:13:20Z",
                "lastOccurredAt": "2023-11-14T22:13:20Z",
            }
        },
    }


def test_fields_choose_parts_of_the_entity_and_a_whole_object_wins_over_its_parts() -> None:
    entity = {"person": {"name": {"first": "Ann", "last": "Lee"}, "age": 7}, "x": [1], "y": 2}

    assert select(entity, [("person", "name", "first"), ("x",), ("nothing",), ("y", "z")]) == {
        "person": {"name": {"first": "Ann"}},
        "x": [1],
    }
    assert select(entity, [("person", "name"), ("person", "name", "first")]) == {
        "person": {"name": {"first": "Ann", "last": "Lee"}}
    }
    assert entity["person"] == {"name": {"first": "Ann", "last": "Lee"}, "age": 7}


def test_fields_reach_keys_that_contain_dots() -> None:
    entity = {"segmentMembership": {"ups": {"shop.v1": {"status": "realized"}}}}

    chosen = select(entity, [("segmentMembership", "ups", "shop", "v1", "status")])

    assert chosen == entity
