"""The edge's verbs without HTTP: sharing runs, keeping versions, and telling what is missing."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest

from services.edge_inference.handlers import Admission, Batcher, Edge
from services.edge_inference.ports import Matrix
from shared.adapters.champions import ServedModel, load_model
from shared.contracts.models import ModelEvent
from shared.contracts.vectors import FeatureVector
from shared.features import pack
from shared.kernel.errors import Reason, Rejected, Retryable
from shared.kernel.ids import profile_id
from tests.support.models import champion_event, constant_model, linear_model

HASH = "ab" * 16


@dataclass
class Runs:
    """How many requests and rows each model run had."""

    made: list[tuple[int, int]] = field(default_factory=list)

    def ran(self, requests: int, rows: int) -> None:
        self.made.append((requests, rows))


@dataclass
class Shelf:
    """Models and vectors in memory."""

    served: dict[str, ServedModel] = field(default_factory=dict)
    pending: dict[str, ModelEvent] = field(default_factory=dict)
    caught_up: bool = True
    vectors: dict[str, bytes] = field(default_factory=dict)

    async def get(self, feature_set: str, profile_id: str) -> bytes | None:
        return self.vectors.get(f"{feature_set}/{profile_id}")


def served(raw: bytes, version: int = 1) -> ServedModel:
    return load_model(champion_event(raw, version), raw)


def edge(shelf: Shelf) -> Edge:
    return Edge(shelf, shelf, Batcher(Admission(8), Runs(), 64), "default", 64)


async def test_requests_of_one_pass_share_a_run_per_version_and_each_gets_its_own_rows() -> None:
    admission, runs = Admission(100), Runs()
    batcher = Batcher(admission, runs, inline_rows_max=64)
    old, new = served(constant_model(0.25)), served(linear_model(), 2)
    matrices = [np.full((n, 3), n, dtype=np.float32) for n in (1, 2, 3)]
    for _ in range(4):
        admission.enter()

    answers = await asyncio.gather(
        *(batcher.run(m, rows) for m, rows in zip((new, new, new, old), (*matrices, matrices[0]), strict=True))
    )

    assert runs.made == [(3, 6), (1, 1)]
    for rows, answer in zip(matrices, answers, strict=False):
        assert answer == pytest.approx(new.model.run(rows), abs=1e-6)
    assert answers[3][0, 1] == pytest.approx(0.25)


async def test_a_request_that_is_alone_runs_at_once() -> None:
    admission, runs = Admission(100), Runs()
    admission.enter()

    answer = Batcher(admission, runs, 64).run(served(constant_model(0.25)), np.zeros((1, 3), dtype=np.float32))

    with pytest.raises(StopIteration):  # it never waits for the event loop
        answer.send(None)
    assert runs.made == [(1, 1)]


async def test_shared_runs_stay_within_the_rows_that_may_block_the_loop() -> None:
    admission, runs = Admission(100), Runs()
    batcher, model = Batcher(admission, runs, inline_rows_max=8), served(linear_model())
    for _ in range(5):
        admission.enter()

    await asyncio.gather(*(batcher.run(model, np.zeros((3, 3), dtype=np.float32)) for _ in range(5)))

    assert runs.made == [(2, 6), (2, 6), (1, 3)]


async def test_a_run_that_fails_is_heard_by_all_who_waited_for_it() -> None:
    class Broken:
        def run(self, rows: Matrix) -> Matrix:
            raise RuntimeError("out of order")

    @dataclass(frozen=True)
    class Unlucky:
        event: ModelEvent
        model: Broken

    admission = Admission(100)
    for _ in range(2):
        admission.enter()
    batcher, model = Batcher(admission, Runs(), 64), Unlucky(champion_event(linear_model()), Broken())

    answers = await asyncio.gather(
        *(batcher.run(model, np.zeros((1, 3), dtype=np.float32)) for _ in range(2)), return_exceptions=True
    )

    assert [str(answer) for answer in answers] == ["out of order"] * 2


def body(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


async def test_a_person_is_found_by_identity_and_scored_by_the_stored_vector() -> None:
    person = profile_id("default", "Email", "a@example.com")
    vector = FeatureVector("v", "default", person, "shop", HASH, 2_000_000, (0.5, 0.25, 1.0))
    shelf = Shelf({"propensity": served(linear_model(), 3)}, vectors={f"shop/{person}": pack(vector)})

    answer = await edge(shelf).predict("propensity", body(identity={"namespace": "email", "id": "a@example.com"}))

    assert answer.score == pytest.approx(0.37754065)
    assert (answer.profile_id, answer.version, answer.decision) == (person, 3, False)
    assert (answer.as_of, answer.features) == ("1970-01-01T00:00:02Z", "profile")


async def test_a_person_without_features_is_not_found_unless_defaults_are_asked_for() -> None:
    shelf = Shelf({"propensity": served(linear_model())})

    with pytest.raises(Rejected, match="send an event first") as caught:
        await edge(shelf).predict("propensity", body(profileId="p"))
    answer = await edge(shelf).predict("propensity", body(profileId="p", onMissing="default"))

    assert caught.value.reason == Reason.NOT_FOUND
    assert (answer.features, answer.as_of) == ("defaults", None)
    assert answer.score == pytest.approx(1 / (1 + np.exp(1)))


async def test_a_vector_of_another_feature_set_version_is_refused() -> None:
    vector = FeatureVector("v", "default", "p", "shop", "cd" * 16, 1, (0.5, 0.25, 1.0))
    shelf = Shelf({"propensity": served(linear_model())}, vectors={"shop/p": pack(vector)})

    with pytest.raises(Rejected, match="the model expects"):
        await edge(shelf).predict("propensity", body(profileId="p"))


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", body(profileId="p", identity={"namespace": "n", "id": "i"}), body(profil="p")],
)
async def test_a_request_that_names_no_one_person_is_refused(raw: bytes) -> None:
    with pytest.raises(Rejected):
        await edge(Shelf({"propensity": served(linear_model())})).predict("propensity", raw)


def test_ready_means_that_every_known_champion_can_answer() -> None:
    event, model = champion_event(linear_model()), served(linear_model())
    cases = [
        Shelf(),
        Shelf(caught_up=False),
        Shelf(pending={"propensity": event}),
        Shelf({"propensity": model}, caught_up=False),
        Shelf({"propensity": model}, pending={"propensity": event}),
    ]

    assert [not edge(shelf).ready() for shelf in cases] == [True, False, False, True, True]


def test_a_champion_that_is_known_but_not_loaded_is_worth_another_try() -> None:
    shelf = Shelf(pending={"propensity": champion_event(linear_model())})

    with pytest.raises(Retryable, match="not loaded yet"):
        edge(shelf).served("propensity")
