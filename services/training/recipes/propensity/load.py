"""Load: replay the log of facts into labelled rows."""

from collections.abc import Iterable
from heapq import nsmallest

from services.training.recipes.context import Context
from services.training.recipes.propensity.dataset import Dataset, to_dataset
from shared.contracts.vectors import FeatureSetDefinition
from shared.features.examples import Example, ExampleBuilder, ExampleRule, LogSpan, settled
from shared.features.replay import FeatureReplay, compile_feature_set
from shared.kernel.clock import DAY
from shared.kernel.errors import Rejected

_PROGRESS_FACTS = 50_000


async def load(context: Context, definition: FeatureSetDefinition) -> Dataset:
    """Returns at most `rows_max` rows, chosen by hash. Raises Rejected when the log gives none.

    Memory: the states of one partition's profiles, and the examples of all.
    """
    parameters = context.parameters
    rule = ExampleRule(
        label=parameters["label_event_type"],
        horizon=round(parameters["horizon_days"] * DAY),
        per_profile=parameters["samples_per_profile"],
        seed=parameters["seed"],
    )
    plan = compile_feature_set(definition)
    span, taken = LogSpan(), list[Example]()
    async for partition in context.log.partitions():
        builder = ExampleBuilder(rule, FeatureReplay(definition, plan))
        async for facts in partition:
            before = builder.span.facts // _PROGRESS_FACTS
            for fact in facts:
                builder.add(fact)
            if builder.span.facts // _PROGRESS_FACTS != before:
                context.progress("load", facts=span.facts + builder.span.facts)
        span.join(builder.span)
        taken += builder.harvest()
    rows = settled(taken, span.last_at, rule)
    if not rows:
        raise Rejected(
            f"there is nothing to train on: {span.explain(rule)}; wait for more data or ask for a shorter "
            f"horizon_days than {parameters['horizon_days']:g}"
        )
    chosen = _smallest(rows, parameters["rows_max"])
    context.progress("load", facts=span.facts, moments=len(taken), rows=len(chosen))
    return to_dataset(chosen, len(definition.features), parameters["seed"])


def _smallest(rows: Iterable[Example], rows_max: int) -> list[Example]:
    """Returns the rows with the smallest ranks: a uniform sample that repeats."""
    return nsmallest(rows_max, rows, key=lambda example: (example.rank, example.profile_id))
