"""Following champions: the newest word wins, whatever order words and loads come in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.artifacts import ArtifactClient, ArtifactStore
from shared.adapters.champions import Champions, load_model
from shared.contracts.models import ModelEvent
from shared.kernel.errors import Rejected
from tests.support.models import champion_event, constant_model, linear_model
from tests.support.running import eventually

NOBODY = "127.0.0.1:9"


@pytest.fixture
async def champions(tmp_path: Path) -> AsyncIterator[Champions]:
    store = ArtifactStore(tmp_path)
    for raw in (constant_model(0.25), constant_model(0.5), constant_model(0.75)):
        store.put(raw)
    champions = Champions(NOBODY, ArtifactClient(f"http://{NOBODY}", store), only=frozenset({"propensity"}))
    await champions.start()
    yield champions
    await champions.stop()


def say(champions: Champions, *events: ModelEvent) -> None:
    for event in events:
        champions.on_record(event.key, event)


def version(champions: Champions) -> int | None:
    served = champions.served.get("propensity")
    return served.event.version if served else None


async def test_of_many_moves_at_once_the_last_is_served(champions: Champions) -> None:
    say(champions, *(champion_event(constant_model(n / 4), n) for n in (1, 2, 3)))

    await eventually(lambda: version(champions) == 3)

    assert not champions.pending


async def test_a_rollback_to_an_older_version_is_followed(champions: Champions) -> None:
    say(champions, champion_event(constant_model(0.5), 2))
    await eventually(lambda: version(champions) == 2)

    say(champions, champion_event(constant_model(0.25), 1, occurred_at=3_000_000))

    await eventually(lambda: version(champions) == 1)


async def test_reading_the_log_again_does_not_go_through_its_history(champions: Champions) -> None:
    say(champions, champion_event(constant_model(0.75), 3))
    await eventually(lambda: version(champions) == 3)
    seen: list[int] = []
    champions.on_published(lambda served, _: seen.append(served.event.version))

    say(champions, champion_event(constant_model(0.25), 1), champion_event(constant_model(0.75), 3))

    assert not champions.pending
    assert (version(champions), seen) == (3, [])


async def test_other_models_other_aliases_and_tombstones_are_none_of_its_business(champions: Champions) -> None:
    other = champion_event(constant_model(0.25), 1, model="churn")
    challenger = champion_event(constant_model(0.25), 1)

    say(champions, other)
    champions.on_record(
        "propensity/aliases/challenger",
        ModelEvent("alias", challenger.model, 1, challenger.digest, challenger.manifest, 1, "challenger", 1),
    )
    champions.on_record("propensity/aliases/champion", None)

    assert not champions.pending
    assert not champions.served


async def test_a_seed_is_served_at_once_and_yields_to_a_newer_word(champions: Champions) -> None:
    raw = constant_model(0.25)
    champions.seed(load_model(champion_event(raw, 1), raw))
    assert version(champions) == 1

    say(champions, champion_event(constant_model(0.5), 2))

    await eventually(lambda: version(champions) == 2)


async def test_a_version_that_cannot_be_fetched_is_pending_and_told(champions: Champions) -> None:
    failures: list[str] = []
    champions.on_failed(lambda event, error: failures.append(f"{event.version} {type(error).__name__}"))

    say(champions, champion_event(linear_model(), 9))
    await eventually(lambda: bool(failures))

    assert failures[0] == "9 Retryable"
    assert list(champions.pending) == ["propensity"]


def test_a_file_with_another_number_of_features_is_refused() -> None:
    raw = constant_model(0.5, features=2)

    with pytest.raises(Rejected, match="takes 2 features, its manifest names 3"):
        load_model(champion_event(raw), raw)
