"""A partition's passage to new definitions, step by step on the in-memory driver."""

import msgspec

from services.segmentation.domain.status import LEFT, RUNNING, STATUS, TARGET, Status
from shared.contracts.facts import Fact
from shared.kernel.clock import DAY, HOUR, Micros
from shared.runtime.stage import Batch
from tests.property.backfill.world import Partition, generation

TWICE = "xEvent.count() >= 2"
THRICE = "xEvent.count() >= 3"


def event(number: int, who: str = "ann", at: int | None = None) -> Fact:
    when = number * HOUR if at is None else at
    return Fact(f"{who}{number}", "event", "t", who, when, when, body={"eventType": "look"})


def members(partition: Partition) -> dict[str, list[str]]:
    return {id_: sorted(state.engine.members) for id_, state in sorted(partition.states().items())}


def test_somebody_who_sends_nothing_more_enters_a_segment_defined_later() -> None:
    partition = Partition()
    partition.send(event(1))
    partition.send(event(2))

    partition.finish(generation({"twice": (1, TWICE)}))

    assert {"ann": ["twice"]} == members(partition)
    (entered,) = partition.transitions("ann")
    assert ("twice", 1, "entered", 2 * HOUR) == (
        entered.segment_id,
        entered.segment_version,
        entered.change,
        entered.effective_at,
    )
    assert "definition" == entered.cause.kind


def test_the_old_version_decides_until_the_profile_comes_over() -> None:
    partition = Partition()
    partition.finish(generation({"a": (1, TWICE)}))
    partition.send(event(1))
    partition.define(generation({"a": (2, THRICE)}))

    partition.send(event(2))
    under_the_old = members(partition)
    partition.finish(generation({"a": (2, THRICE)}))

    assert {"ann": ["a"]} == under_the_old
    assert {"ann": []} == members(partition)
    assert [("entered", 1), ("exited", 2)] == [(t.change, t.segment_version) for t in partition.transitions("ann")]


def test_an_edit_that_changes_nothing_for_a_member_says_nothing() -> None:
    partition = Partition()
    partition.finish(generation({"a": (1, TWICE)}))
    for number in (1, 2, 3):
        partition.send(event(number))

    partition.finish(generation({"a": (2, THRICE)}))

    assert ["entered"] == [t.change for t in partition.transitions("ann")]
    assert {"ann": ["a"]} == members(partition)


def test_members_of_a_removed_segment_leave_it_though_they_are_silent() -> None:
    partition = Partition()
    partition.finish(generation({"a": (1, TWICE)}))
    partition.send(event(1))
    partition.send(event(2))

    partition.finish(generation({}))

    assert [("entered", 1), ("exited", 1)] == [(t.change, t.segment_version) for t in partition.transitions("ann")]
    assert {"ann": set()} == partition.published()


def test_a_segment_removed_and_defined_again_twice_has_transitions_with_ids_of_their_own() -> None:
    partition = Partition()
    partition.send(event(1))
    partition.send(event(2))

    for version in (1, 3, 5):
        partition.finish(generation({"a": (version, TWICE)}))
        partition.finish(generation({}))

    found = partition.transitions("ann")
    assert 6 == len({transition.id for transition in found})


def test_new_profiles_begin_under_the_new_definitions_at_once() -> None:
    partition = Partition()
    partition.send(event(1))
    partition.define(generation({"twice": (1, TWICE)}))

    partition.send(event(2, "bob"))
    partition.send(event(3, "bob"))

    assert {"ann": [], "bob": ["twice"]} == members(partition)


def test_nobody_is_decided_on_by_definitions_that_are_not_durable() -> None:
    partition = Partition()
    partition.send(event(1))

    partition.define(generation({"twice": (1, TWICE)}))

    status = msgspec.json.decode(partition.driver.view(partition.stage, 0, STATUS) or b"", type=Status)
    target = partition.driver.view(partition.stage, 0, TARGET)
    assert (status.target, "replay") == (partition.passage.target and partition.passage.target.id, status.phase)
    assert target == generation({"twice": (1, TWICE)}).encoded
    assert partition.driver.view(partition.stage, 0, RUNNING) == generation({}).encoded


def test_a_crash_between_seed_and_transition_repeats_the_same_transition() -> None:
    """Whether a visit or the next fact brings the profile over: instant and id are those of the seed."""
    spared, killed = Partition(), Partition()
    for partition in (spared, killed):
        partition.send(event(1))
        partition.send(event(2))
        partition.define(generation({"twice": (1, TWICE)}))
        partition.read(10)

    spared.allow(1)
    killed.allowance = 1
    turn = killed.passage._seed_turn(killed.passage._found, Micros(0))
    assert turn is not None
    kept = killed.driver._kept[killed.stage.name, 0]
    killed.driver._step(killed.stage, kept, Batch(0, (), turn.due, killed.driver._load(killed.stage, kept, ["ann"])))
    killed.crash()
    killed.send(event(50, at=50 * DAY))

    assert {"ann": ["twice"]} == members(killed)
    assert spared.transitions("ann") == killed.transitions("ann")


def test_a_replay_of_more_people_than_fit_is_cut_into_slices() -> None:
    partition = Partition(profiles_max=10, turn_keys=7)
    for number in range(60):
        partition.send(event(number, f"p{number % 30}"))

    partition.finish(generation({"twice": (1, TWICE)}))

    assert {f"p{i}": ["twice"] for i in range(30)} == dict(members(partition))


def test_a_log_without_its_beginning_is_noted_with_the_names_that_lack_it() -> None:
    partition = Partition()
    for number in range(1, 4):
        partition.send(event(number))
    partition.passage.locate(2, 3)
    partition.passage.want(generation({"twice": (1, TWICE), "tier": (1, 'tier = "gold"')}))
    partition.allowance = 100
    partition.driver.settle()
    replay = partition.passage.replay
    assert replay is not None
    replay.begin(2)
    replay.add([(2, event(3))], 3)
    partition.driver.settle()
    partition.read(1)

    assert not partition.passage.busy
    assert {"twice": 3 * HOUR} == partition.passage.status.history_from
    assert {"ann": []} == members(partition)


def test_facts_of_a_busy_partition_are_remembered_for_the_last_stretch() -> None:
    """The reader is always some facts behind, and the replay falls in step all the same."""
    partition = Partition()
    for number in range(1, 11):
        partition.send(event(number))
    partition.define(generation({"many": (1, "xEvent.count() >= 15")}))

    partition.send(event(11))
    partition.read(10)
    for number in range(12, 16):
        partition.send(event(number))

    assert partition.passage.replay is not None
    assert partition.passage.replay.in_step
    partition.allow(5)
    assert {"ann": ["many"]} == members(partition)


def looked_around(partition: Partition, people: int = 30) -> None:
    for number in range(2 * people):
        partition.send(event(number, f"p{number % people}"))


def test_a_definition_removed_while_it_is_backfilled_is_given_up_and_whoever_had_come_over_comes_back() -> None:
    partition = Partition()
    looked_around(partition)
    partition.define(generation({"twice": (1, TWICE)}))
    partition.read(100)
    partition.allow(4)
    came = [id_ for id_, held in members(partition).items() if held]

    partition.define(generation({}))
    on_the_way_back = partition.passage.status
    partition.finish(generation({}))

    assert 4 == len(came)
    assert ("sweep", 1) == (on_the_way_back.phase, len(on_the_way_back.left)), "no log is read to come back"
    assert {f"p{i}": [] for i in range(30)} == members(partition)
    for id_ in partition.states():
        changes = [(t.change, t.segment_version) for t in partition.transitions(id_)]
        assert ([("entered", 1), ("exited", 1)] if id_ in came else []) == changes


def test_an_edit_of_what_is_being_backfilled_takes_its_place_wherever_profiles_are() -> None:
    """Three generations at once: some under the first, some under the mistake, newcomers under the last."""
    partition = Partition()
    partition.finish(generation({"a": (1, 'xEvent[eventType = "buy"].count() >= 1')}))
    looked_around(partition)
    partition.define(generation({"a": (2, TWICE)}))
    partition.read(100)
    partition.allow(4)

    partition.define(generation({"a": (3, THRICE)}))
    partition.send(event(80, "p3"))
    for number in (81, 82, 83):
        partition.send(event(number, "new"))
    plans = {state.engine.plan for state in partition.states().values()}
    partition.finish(generation({"a": (3, THRICE)}))

    assert 3 == len(plans)
    expected: dict[str, list[str]] = {f"p{i}": [] for i in range(30)} | {"p3": ["a"], "new": ["a"]}
    assert dict(sorted(expected.items())) == members(partition)


def test_a_passage_is_not_given_up_for_something_more() -> None:
    partition = Partition()
    partition.send(event(1))
    partition.define(generation({"twice": (1, TWICE)}))

    partition.define(generation({"twice": (1, TWICE), "thrice": (1, THRICE)}))

    assert partition.passage.target is not None
    assert {"twice": 1} == partition.passage.target.definitions.versions


def test_a_process_killed_on_the_way_back_knows_where_profiles_are() -> None:
    partition = Partition()
    looked_around(partition)
    partition.define(generation({"twice": (1, TWICE)}))
    partition.read(100)
    partition.allow(4)
    partition.define(generation({"thrice": (1, THRICE)}))

    partition.crash()
    left = [g.definitions.versions for g in partition.passage.way.left]
    partition.finish(generation({"thrice": (1, THRICE)}))

    assert [{"twice": 1}] == left
    assert {f"p{i}": [] for i in range(30)} == members(partition)
    assert all(["entered", "exited"][: len(partition.transitions(i))] == [t.change for t in partition.transitions(i)]
               for i in partition.states())  # fmt: skip
    assert partition.driver.view(partition.stage, 0, LEFT) is None


def test_a_seed_for_what_was_given_up_brings_nobody_over() -> None:
    partition = Partition()
    partition.send(event(1))
    partition.send(event(2))
    partition.define(generation({"twice": (1, TWICE)}))
    partition.read(10)
    partition.allowance = 1
    turn = partition.passage._seed_turn(partition.passage._found, Micros(0))
    assert turn is not None
    kept = partition.driver._kept[partition.stage.name, 0]
    loaded = partition.driver._load(partition.stage, kept, ["ann"])
    partition.driver._step(partition.stage, kept, Batch(0, (), turn.due, loaded))
    partition.passage.seeding = False

    partition.finish(generation({}))
    partition.send(event(3))

    assert {"ann": []} == members(partition)
    assert [] == partition.transitions("ann")
    assert partition.states()["ann"].seed is None


def test_coming_back_to_the_same_definitions_again_and_again_has_transitions_with_ids_of_their_own() -> None:
    partition = Partition()
    refers = {"r": (1, 'not inSegment("a") and xEvent.count() >= 1')}
    partition.send(event(1))
    partition.send(event(2))

    for version in (1, 3, 5):
        partition.finish(generation(refers))
        partition.finish(generation({"a": (version, TWICE)} | refers))
    partition.finish(generation(refers))

    found = partition.transitions("ann")
    assert 13 == len(found) == len({transition.id for transition in found})
