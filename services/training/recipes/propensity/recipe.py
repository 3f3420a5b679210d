"""The propensity recipe: load, split, train, score, evaluate, save."""

from services.training.recipes.context import Context, Trained
from services.training.recipes.propensity.evaluate import evaluate
from services.training.recipes.propensity.load import load
from services.training.recipes.propensity.save import describe, export, publish
from services.training.recipes.propensity.score import score
from services.training.recipes.propensity.split import split
from services.training.recipes.propensity.train import fit
from shared.kernel.clock import DAY


async def train(context: Context) -> Trained:
    """Runs all steps. Raises Rejected when the data or the model are not fit to serve, Retryable when a service
    that is needed does not answer."""
    parameters = context.parameters
    definition = context.feature_sets.get(parameters["feature_set"])
    rows = await load(context, definition)
    parts = split(rows, parameters["validation_share"], round(parameters["horizon_days"] * DAY))
    context.progress("split", by=parts.by, train=len(parts.train), validation=len(parts.validation))
    classifier = fit(parts.train, parameters)
    metrics = evaluate(parts.validation, score(classifier, parts.validation.features))
    context.progress("evaluate", **metrics)
    raw, parity = export(classifier, parts, parameters["threshold"], parameters["seed"])
    context.progress("parity", rows=parity.rows, max_abs=parity.max_abs, label_flips=parity.label_flips)
    metrics |= {"parity_max_abs": parity.max_abs, "parity_rows": float(parity.rows)}
    metrics |= {"rows_train": float(len(parts.train)), "rows_validation": float(len(parts.validation))}
    manifest = describe(context, definition, parts, raw, parity, metrics)
    version, champion = publish(context, manifest, raw)
    role = "champion now" if champion else "not promoted"
    message = f"{context.model} version {version} registered, {role}; validated by {parts.by}"
    return Trained(message, metrics, version)
