"""Recipes' parameters and what may be asked for."""

from typing import Any

import pytest

from services.training.domain import PROPENSITY, check_request, slot_run_id
from shared.kernel.errors import Rejected


def test_parameters_that_are_not_given_have_their_defaults() -> None:
    resolved = PROPENSITY.resolve({"horizon_days": 2, "estimator": "logistic_regression"})

    assert (resolved["horizon_days"], resolved["estimator"]) == (2.0, "logistic_regression")
    assert (resolved["seed"], set(resolved)) == (7, set(PROPENSITY.parameters))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"horizon_day": 7}, "did you mean 'horizon_days'"),
        ({"zzz": 7}, "it has feature_set, label_event_type"),
        ({"horizon_days": "7"}, "expected float"),
        ({"horizon_days": 0}, "expected from 0.0001 to 365"),
        ({"horizon_days": float("nan")}, "expected from 0.0001 to 365"),
        ({"n_estimators": 10.5}, "expected int"),
        ({"n_estimators": True}, "expected int"),
        ({"estimator": "svm"}, "expected one of gradient_boosting, logistic_regression"),
        ({"feature_set": ""}, "is empty"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_expected(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Rejected, match=words):
        PROPENSITY.resolve(given)


def test_unknown_recipes_and_bad_model_names_are_refused() -> None:
    with pytest.raises(Rejected, match="there are: propensity"):
        check_request("magic", "m", {})
    with pytest.raises(Rejected, match="must be 1 to 63 characters"):
        check_request("propensity", "../m", {})


def test_a_slot_asks_for_the_same_run_however_often_it_fires() -> None:
    assert slot_run_id("nightly", "m", 60) == slot_run_id("nightly", "m", 60)
    assert slot_run_id("nightly", "m", 60) != slot_run_id("nightly", "m", 120)


def test_every_parameter_is_documented_and_its_default_is_valid() -> None:
    assert all(parameter.doc.endswith(".") for parameter in PROPENSITY.parameters.values())
    assert PROPENSITY.resolve({}) == {name: p.default for name, p in PROPENSITY.parameters.items()}
