"""Runs, their states, schedules, and the recipes with their parameters. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from shared.kernel.errors import Rejected
from shared.kernel.ids import digest_id

_MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RunState(StrEnum):
    """PENDING and RETRY wait for a turn (RETRY: interrupted before); DONE, FAILED and ABORTED are final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRY = "RETRY"
    DONE = "DONE"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


FINAL = frozenset({RunState.DONE, RunState.FAILED, RunState.ABORTED})


@dataclass(frozen=True, slots=True)
class Run:
    """One training run. Instants in µs, 0 when not reached. `parameters` are as asked for."""

    id: str
    recipe: str
    model: str
    parameters: dict[str, Any]
    trigger: str
    promote: bool
    requested_at: int
    state: RunState = RunState.PENDING
    attempts: int = 0
    started_at: int = 0
    ended_at: int = 0
    message: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    model_version: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run's process ended."""

    state: RunState
    message: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    model_version: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Trains `model` again at the slots of a five-field cron expression, in UTC. `last_slot` (µs): the newest slot
    that a run was requested for, or the schedule's creation."""

    id: str
    cron: str
    recipe: str
    model: str
    parameters: dict[str, Any]
    promote: bool
    last_slot: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """A recipe's parameter: its default gives the type; numbers lie in [low, high], words in `choices`."""

    default: Any
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> Any:
        """Returns the value in the parameter's type. Raises Rejected saying what is expected."""
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise Rejected(f"parameter {name!r} is {value!r}, expected {kind.__name__}: {self.doc}")
        if kind in (int, float) and not self._in_range(value):
            raise Rejected(f"parameter {name!r} is {value!r}, expected from {self.low:g} to {self.high:g}: {self.doc}")
        if self.choices and value not in self.choices:
            raise Rejected(f"parameter {name!r} is {value!r}, expected one of {', '.join(self.choices)}: {self.doc}")
        if kind is str and not value:
            raise Rejected(f"parameter {name!r} is empty: {self.doc}")
        return value

    def _in_range(self, value: float) -> bool:
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        return low <= value <= high


@dataclass(frozen=True, slots=True)
class Recipe:
    """What can be trained, and with which parameters."""

    name: str
    doc: str
    parameters: Mapping[str, Parameter]

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns all parameters, defaults filled in. Raises Rejected for an unknown or wrong one."""
        for name in given:
            if name not in self.parameters:
                near = get_close_matches(name, self.parameters, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.parameters)}"
                raise Rejected(f"recipe {self.name!r} has no parameter {name!r}; {hint}")
        return {
            name: parameter.check(name, given.get(name, parameter.default))
            for name, parameter in self.parameters.items()
        }


PROPENSITY = Recipe(
    "propensity",
    "Will a profile convert soon? A classifier on the feature vectors as they were served, labelled by whether a "
    "conversion event followed within the horizon.",
    MappingProxyType(
        {
            "feature_set": Parameter("propensity", "Name of the feature set, as segmentation knows it."),
            "label_event_type": Parameter("commerce.purchases", "The eventType that counts as conversion."),
            "horizon_days": Parameter(7.0, "Days after a moment in which a conversion counts.", 1e-4, 365),
            "samples_per_profile": Parameter(4, "Most moments taken from one profile.", 1, 100),
            "rows_max": Parameter(40_000, "Most rows trained and validated on.", 100, 2_000_000),
            "validation_share": Parameter(0.25, "Share of the rows, the latest, that validate.", 0.05, 0.5),
            "estimator": Parameter(
                "gradient_boosting",
                "Which classifier is fitted.",
                choices=("gradient_boosting", "logistic_regression"),
            ),
            "n_estimators": Parameter(100, "Trees of gradient_boosting.", 1, 2000),
            "max_depth": Parameter(3, "Depth of each tree of gradient_boosting.", 1, 10),
            "learning_rate": Parameter(0.1, "Learning rate of gradient_boosting.", 1e-3, 1),
            "regularization": Parameter(1.0, "Inverse strength C of logistic_regression.", 1e-4, 1e4),
            "threshold": Parameter(0.5, "Score from which a decision is positive.", 0, 1),
            "seed": Parameter(7, "Seed of sampling, splitting and fitting.", 0, 2**31 - 1),
        }
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({PROPENSITY.name: PROPENSITY})


def recipe_named(name: str) -> Recipe:
    """Raises Rejected when there is no such recipe."""
    if name not in RECIPES:
        raise Rejected(f"there is no recipe {name[:80]!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]


def check_request(recipe: str, model: str, parameters: Mapping[str, Any]) -> None:
    """Raises Rejected unless a run could be made of this."""
    recipe_named(recipe).resolve(parameters)
    if not _MODEL_NAME.fullmatch(model):
        raise Rejected(f"model name {model[:80]!r} must be 1 to 63 characters a-z, 0-9 or _ and begin with a letter")


def check_run_id(run_id: str) -> None:
    """Raises Rejected unless `run_id` can name a run and its folder."""
    if not _RUN_ID.fullmatch(run_id):
        raise Rejected(f"run id {run_id[:80]!r} must be 1 to 64 characters A-Z, a-z, 0-9, _ or -")


def slot_run_id(schedule_id: str, model: str, slot: int) -> str:
    """Derives a scheduled run's id from the model and its slot (µs), so that two clocks ask for one run."""
    return digest_id("schedule", schedule_id, model, str(slot))
