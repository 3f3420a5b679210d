"""The scoring step: pure, on real models, from vectors to scores and facts."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from services.scoring.handlers import Scoring
from services.scoring.stream import stage
from shared.adapters.champions import ServedModel, load_model
from shared.contracts.inbound import SCORES_DATASET, InboundMessage
from shared.contracts.scores import Score
from shared.contracts.topics import INBOUND, SCORES
from shared.contracts.vectors import FeatureVector
from shared.kernel.ids import score_id
from shared.runtime.stage import Batch, Effects, Record
from tests.support.models import champion_event, constant_model, linear_model

HASH = "ab" * 16


@dataclass
class Charge:
    """The champions of a test."""

    served: dict[str, ServedModel] = field(default_factory=dict)
    caught_up: bool = True


@dataclass
class Tally:
    """Counts what the step says."""

    left: dict[str, int] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    rows: int = 0

    def inferred(self, model: str, seconds: float) -> None:
        self.runs.append(model)

    def scored(self, alias: str, rows: int) -> None:
        self.rows += rows

    def left_out(self, outcome: str, rows: int) -> None:
        if rows:
            self.left[outcome] = self.left.get(outcome, 0) + rows


def champion(raw: bytes, version: int = 1, **fields: Any) -> ServedModel:
    return load_model(champion_event(raw, version, **fields), raw)


def vector(profile: str, at: int, *values: float, hash_: str = HASH, feature_set: str = "shop") -> FeatureVector:
    return FeatureVector(f"{profile}-{at}", "default", profile, feature_set, hash_, at, values or (1.0, 2.0, 3.0))


def run(champions: Charge, *vectors: FeatureVector, headers: Any = ()) -> tuple[Effects[Any], Tally]:
    tally = Tally()
    records = [Record(v.profile_id, v, 0, offset, 1_000 + offset, headers) for offset, v in enumerate(vectors)]
    return Scoring(champions, tally).step(Batch(0, records, (), {})), tally


def scores_of(effects: Effects[Any]) -> list[Score]:
    return [output.value for output in effects.outputs if output.topic is SCORES]


def test_each_vector_gives_a_score_and_the_same_as_a_fact_of_the_person() -> None:
    charge = Charge({"propensity": champion(linear_model(), version=4)})

    effects, _ = run(charge, vector("p1", 1_500_000, 0.5, 0.25, 1.0), headers=(("traceparent", b"t"), ("other", b"o")))

    (score,) = scores_of(effects)
    assert (score.id, score.model_version) == (score_id("p1", "p1-1500000", "propensity", 4), 4)
    assert (score.profile_id, score.as_of) == ("p1", 1_500_000)
    assert score.value == pytest.approx(0.37754065)
    (fact,) = [output for output in effects.outputs if output.topic is INBOUND]
    assert isinstance(fact.value, InboundMessage)
    assert (fact.key, fact.value.header.dataset_id) == ("p1", SCORES_DATASET)
    assert fact.headers == (("traceparent", b"t"), ("received-at", b"1500000"))
    assert fact.value.body.xdm_entity == {
        "_id": score.id,
        "identityMap": {"ProfileId": [{"id": "p1", "primary": True}]},
        "timestamp": "1970-01-01T00:00:01.500000Z",
        "_freshet": {"propensity": score.value},
    }


def test_every_vector_of_a_batch_is_scored_in_one_run_also_the_older_ones_of_a_profile() -> None:
    charge = Charge({"propensity": champion(linear_model())})

    effects, tally = run(charge, vector("a", 1), vector("b", 2), vector("a", 3))

    assert [(score.profile_id, score.as_of) for score in scores_of(effects)] == [("a", 1), ("b", 2), ("a", 3)]
    assert (tally.left, tally.runs, tally.rows) == ({}, ["propensity"], 3)


def test_the_same_scores_come_of_vectors_however_they_fall_into_batches() -> None:
    charge = Charge({"propensity": champion(constant_model(0.25))})
    vectors = [vector(f"p{n % 3}", n) for n in range(12)]

    together = run(charge, *vectors)[0].outputs
    apart = [output for v in vectors for output in run(charge, v)[0].outputs]

    assert [output.value for output in together] == [output.value for output in apart]


def test_vectors_of_another_version_of_the_feature_set_are_left_out_and_counted() -> None:
    charge = Charge({"propensity": champion(linear_model())})

    effects, tally = run(
        charge, vector("a", 1, hash_="cd" * 16), vector("b", 2), vector("c", 3, feature_set="unrelated")
    )

    assert [score.profile_id for score in scores_of(effects)] == ["b"]
    assert tally.left == {"feature_set_mismatch": 1}
    assert effects.rejections == []


def test_each_champion_scores_the_vectors_of_its_feature_set() -> None:
    raw = constant_model(0.25)
    charge = Charge(
        {
            "propensity": champion(linear_model()),
            "churn": champion(raw, model="churn"),
            "other": champion(raw, model="other", feature_set="unrelated"),
        }
    )

    effects, tally = run(charge, vector("a", 1), vector("b", 2))

    assert [(s.model, s.profile_id) for s in scores_of(effects)] == [
        ("propensity", "a"),
        ("propensity", "b"),
        ("churn", "a"),
        ("churn", "b"),
    ]
    assert tally.runs == ["propensity", "churn"]


def test_scoring_the_same_batch_again_gives_the_same_outputs() -> None:
    charge = Charge({"propensity": champion(linear_model())})
    vectors = [vector(f"p{n % 7}", n, n / 3, -n, 0.1) for n in range(40)]

    first, second = (run(charge, *vectors)[0] for _ in range(2))

    assert first.outputs == second.outputs


def test_a_profile_gets_the_same_score_alone_and_in_a_batch() -> None:
    charge = Charge({"propensity": champion(linear_model())})
    vectors = [vector(f"p{n}", n, n / 3, -n / 7, 0.1) for n in range(30)]

    together = {score.id: score.value for score in scores_of(run(charge, *vectors)[0])}
    alone = {score.id: score.value for v in vectors for score in scores_of(run(charge, v)[0])}

    assert together == pytest.approx(alone, abs=1e-6)


def test_vectors_wait_until_the_models_are_known() -> None:
    served = {"propensity": champion(linear_model())}
    gates = [stage(Scoring(charge, Tally())).gate() for charge in (Charge(), Charge(served, False), Charge(served))]

    assert gates == [False, False, True]
