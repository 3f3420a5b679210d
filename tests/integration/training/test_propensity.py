"""The propensity recipe from facts to a registered model, with everything real but Kafka and HTTP."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from services.training.adapters.onnx_export import measure_parity, require_parity, to_onnx
from services.training.domain import PROPENSITY
from services.training.recipes.context import Context
from services.training.recipes.propensity import recipe
from services.training.recipes.propensity.dataset import Dataset
from services.training.recipes.propensity.save import export
from services.training.recipes.propensity.score import boundary_rows, score
from services.training.recipes.propensity.split import Split, split
from shared.adapters.onnx import OnnxModel
from shared.contracts.facts import Fact
from shared.contracts.models import ModelManifest
from shared.contracts.vectors import FeatureSetDefinition
from shared.kernel.clock import DAY, ManualClock
from shared.kernel.errors import Rejected
from tests.support.shop_log import PURCHASE, SHOP_FEATURES, START, VIEW, ListLog, event, shop_log


@dataclass
class Shelf:
    """A feature-set source and a registry in memory."""

    models: list[tuple[ModelManifest, bytes]] = field(default_factory=list)
    champion: int = 0

    def get(self, name: str) -> FeatureSetDefinition:
        assert name == SHOP_FEATURES.name
        return SHOP_FEATURES

    def register(self, manifest: ModelManifest, raw: bytes) -> int:
        self.models.append((manifest, raw))
        return len(self.models)

    def promote(self, model: str, version: int) -> bool:
        self.champion = version
        return True


def silent(step: str, **facts: object) -> None:
    """Keeps progress to itself."""


def context(folder: Path, shelf: Shelf, facts: Iterable[Fact], promote: bool = True, **parameters: Any) -> Context:
    return Context(
        run_id="r1",
        model="propensity",
        parameters=PROPENSITY.resolve({"feature_set": "shop"} | parameters),
        promote=promote,
        folder=folder,
        log=ListLog(facts),
        feature_sets=shelf,
        registry=shelf,
        progress=silent,
        clock=ManualClock(START),
    )


@pytest.mark.parametrize("estimator", ["gradient_boosting", "logistic_regression"])
async def test_a_model_is_trained_proven_registered_and_promoted(tmp_path: Path, estimator: str) -> None:
    shelf = Shelf()

    trained = await recipe.train(context(tmp_path, shelf, shop_log(), estimator=estimator, n_estimators=20))

    ((manifest, raw),) = shelf.models
    assert (trained.model_version, shelf.champion) == (1, 1)
    assert "version 1 registered, champion now; validated by time" in trained.message
    assert trained.metrics["auc"] > 0.65
    assert trained.metrics["log_loss"] < trained.metrics["log_loss_base"]
    assert manifest.parity.max_abs <= 1e-5
    assert manifest.parity.label_flips == 0
    assert manifest.parity.rows > manifest.rows_validation
    assert (manifest.feature_set_hash, manifest.features) == (
        SHOP_FEATURES.hash,
        ("views", "carts_7d", "spent", "loyalty"),
    )
    model = OnnxModel(raw, manifest.input_name, manifest.output_name)
    assert model.run(np.zeros((5, 4), dtype=np.float32)).shape == (5, 2)


async def test_the_same_log_gives_the_same_model_bit_by_bit(tmp_path: Path) -> None:
    shelf, facts = Shelf(), shop_log(profiles=150)

    for folder in ("a", "b"):
        await recipe.train(context(tmp_path / folder, shelf, facts, n_estimators=20))

    assert shelf.models[0][1] == shelf.models[1][1]


async def test_a_run_that_shall_not_promote_leaves_the_champion(tmp_path: Path) -> None:
    shelf = Shelf(champion=0)

    trained = await recipe.train(context(tmp_path, shelf, shop_log(150), promote=False, n_estimators=5))

    assert shelf.champion == 0
    assert "not promoted" in trained.message


async def test_rows_are_bounded_by_a_sample_that_repeats(tmp_path: Path) -> None:
    shelf = Shelf()

    trained = await recipe.train(context(tmp_path, shelf, shop_log(), rows_max=400, n_estimators=5))

    rows = trained.metrics["rows_train"] + trained.metrics["rows_validation"]
    assert rows <= 400


async def test_a_log_without_conversions_is_refused_with_the_reason(tmp_path: Path) -> None:
    facts = [fact for fact in shop_log(100) if fact.event_type != PURCHASE]

    with pytest.raises(Rejected, match=r"0 of them positive.*Check label_event_type"):
        await recipe.train(context(tmp_path, Shelf(), facts))


async def test_a_log_shorter_than_the_horizon_is_refused_with_its_length(tmp_path: Path) -> None:
    facts = [event("p", n, VIEW, START + n * DAY) for n in range(3)]

    with pytest.raises(Rejected, match=r"\(2.00 days\); a label needs 7.00 days.*shorter horizon_days than 7"):
        await recipe.train(context(tmp_path, Shelf(), facts))


def rows(labels: Iterable[bool], groups: Iterable[float] | None = None) -> Dataset:
    marks = np.array(list(labels))
    count = len(marks)
    own = np.linspace(0, 1, count, endpoint=False) if groups is None else np.array(list(groups))
    return Dataset(
        np.zeros((count, 1), dtype=np.float32), marks, np.arange(count, dtype=np.int64) * DAY, own.astype(np.float64)
    )


def test_training_rows_that_know_the_validation_period_are_left_out() -> None:
    parts = split(rows([n % 2 == 0 for n in range(100)]), share=0.25, horizon=7 * DAY)

    assert parts.by == "time"
    assert parts.validation.at.min() > parts.train.at.max() + 7 * DAY
    assert (len(parts.train), len(parts.validation)) == (68, 25)


def test_when_time_leaves_one_class_the_split_is_by_profile() -> None:
    parts = split(rows([n < 60 for n in range(100)], groups=[n * 7 % 100 / 100 for n in range(100)]), 0.25, 7 * DAY)

    assert parts.by == "profile"
    assert set(parts.train.groups).isdisjoint(parts.validation.groups)


def fitted(count: int = 600) -> tuple[GradientBoostingClassifier, Split]:
    random = np.random.default_rng(3)
    features = random.normal(size=(count, 4)).astype(np.float32) * np.float32(1e6)
    labels = features[:, 0] + features[:, 1] * random.normal(size=count) > 0
    data = Dataset(features, labels, np.arange(count, dtype=np.int64), random.random(count))
    half = data.groups < 0.5
    classifier = GradientBoostingClassifier(n_estimators=30, random_state=1).fit(features, labels.astype(int))
    return classifier, Split(data.where(half), data.where(~half), "profile")


def test_an_exact_conversion_passes_on_every_row_and_at_every_split() -> None:
    classifier, parts = fitted()

    _, parity = export(classifier, parts, threshold=0.5, seed=1)

    assert parity.max_abs <= 1e-5
    assert parity.rows > 3 * 30


def test_a_conversion_that_moved_one_threshold_by_one_float_is_caught() -> None:
    classifier, parts = fitted()
    model = onnx.load_model_from_string(to_onnx(classifier, 4))
    values = trees_of(model)
    splits = [n for n, mode in enumerate(modes_of(model)) if mode != b"LEAF"]
    moved = np.array([values.floats[n] for n in splits], dtype=np.float32)
    values.floats[splits[0]] = float(np.nextafter(moved[0], np.float32(np.inf)))

    words = refusal(classifier, parts, model.SerializeToString())

    assert "does not agree with the trained estimator" in words


def test_a_conversion_with_wrong_leaves_is_refused_with_the_figures() -> None:
    classifier, parts = fitted()
    model = onnx.load_model_from_string(to_onnx(classifier, 4))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("class_weights", "target_weights"):
                attribute.floats[:] = [-value for value in attribute.floats]

    words = refusal(classifier, parts, model.SerializeToString())

    assert "label flips (allowed 0)" in words
    assert "the model was not registered" in words


def test_an_answer_that_is_not_a_number_counts_as_the_worst_difference() -> None:
    classifier, parts = fitted(100)
    model = onnx.load_model_from_string(to_onnx(classifier, 4))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "base_values":
                attribute.floats[:] = [float("nan")] * len(attribute.floats)

    words = refusal(classifier, parts, model.SerializeToString())

    assert "largest difference inf" in words


def refusal(classifier: Any, parts: Split, raw: bytes) -> str:
    compared = np.concatenate([parts.validation.features, boundary_rows(classifier, parts.validation, 1)])
    with pytest.raises(Rejected) as caught:
        require_parity(measure_parity(raw, compared, score(classifier, compared), 0.5))
    return caught.value.message


def trees_of(model: Any) -> Any:
    return attribute_of(model, "nodes_values")


def modes_of(model: Any) -> list[bytes]:
    return list(attribute_of(model, "nodes_modes").strings)


def attribute_of(model: Any, name: str) -> Any:
    found = [a for node in model.graph.node for a in node.attribute if a.name == name]
    (attribute,) = found
    return attribute
