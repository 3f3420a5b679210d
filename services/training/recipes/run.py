"""The process of one training run: `python -m services.training.recipes.run FOLDER`.

Limits itself first, then trains, then leaves its result in the folder. Ends at once when standard input closes,
because then the service that started it is gone and will start the run again.
"""

import asyncio
import os
import resource
import sys
import threading
from dataclasses import replace
from pathlib import Path

from services.training.adapters.run_files import PROOF_VARIABLE, RunFiles, RunOutcome, RunSpec
from shared.kernel.clock import WallClock, format_instant
from shared.kernel.errors import ExitCode, Rejected, Retryable


def main() -> int:
    """Returns the exit code: 0 done, 1 failed, 75 to be tried again."""
    files = RunFiles(Path(sys.argv[1]))
    spec = files.read_spec()
    os.nice(spec.niceness)
    resource.setrlimit(resource.RLIMIT_AS, (spec.memory_bytes_max, spec.memory_bytes_max))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    progress("begin", run=spec.run_id, recipe=spec.recipe, model=spec.model)
    outcome = run(spec, files.folder)
    progress("end", state=outcome.state, message=outcome.message)
    files.end(outcome)
    return {"DONE": 0, "FAILED": 1}.get(outcome.state, ExitCode.RETRY)


def progress(step: str, **facts: object) -> None:
    """Writes one line: instant, step, facts."""
    words = " ".join(f"{name}={value}" for name, value in facts.items())
    sys.stdout.write(f"{format_instant(WallClock().now())} {step} {words}\n")
    sys.stdout.flush()


def run(spec: RunSpec, folder: Path) -> RunOutcome:
    """Runs the recipe; every trouble becomes an outcome."""
    # Imported late, so that the limits hold for what these bring along.
    from services.training.adapters.event_log import KafkaEventLog
    from services.training.adapters.platform import HttpFeatureSets, HttpModelRegistry
    from services.training.domain import recipe_named
    from services.training.recipes.context import Context
    from services.training.recipes.propensity import recipe as propensity

    recipes = {"propensity": propensity.train}
    kafka = replace(spec.kafka, sasl_password=os.environ.get(PROOF_VARIABLE, ""))
    try:
        context = Context(
            run_id=spec.run_id,
            model=spec.model,
            parameters=recipe_named(spec.recipe).resolve(spec.parameters),
            promote=spec.promote,
            folder=folder,
            log=KafkaEventLog(kafka, spec.topic_prefix),
            feature_sets=HttpFeatureSets(spec.segmentation_url),
            registry=HttpModelRegistry(spec.registry_url),
            progress=progress,
            clock=WallClock(),
        )
        trained = asyncio.run(recipes[spec.recipe](context))
    except Rejected as error:
        return RunOutcome("FAILED", error.message)
    except Retryable as error:
        return RunOutcome("RETRY", str(error))
    except MemoryError:
        return RunOutcome("FAILED", f"the run needed more than {spec.memory_bytes_max >> 20} MiB; lower rows_max")
    return RunOutcome("DONE", trained.message, trained.metrics, trained.model_version)


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(ExitCode.RETRY)


if __name__ == "__main__":
    raise SystemExit(main())
