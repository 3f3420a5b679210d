"""The files by which the service and a run's process speak: specification in, result and log out."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from shared.adapters.artifacts import write_atomically
from shared.adapters.kafka_access import KafkaAccess
from shared.contracts.models import ModelManifest

PROOF_VARIABLE = "FRESHET_RUN_KAFKA_SASL_PASSWORD"
"""Environment variable by which a run's process gets Kafka's password."""


class RunSpec(msgspec.Struct, frozen=True):
    """All that a run's process is told, but for Kafka's password: that must not lie in a file (`PROOF_VARIABLE`)."""

    run_id: str
    recipe: str
    model: str
    parameters: dict[str, Any]
    promote: bool
    kafka: KafkaAccess
    topic_prefix: str
    registry_url: str
    segmentation_url: str
    memory_bytes_max: int
    niceness: int


class RunOutcome(msgspec.Struct, frozen=True):
    """How a run's process ended, in its own words. RETRY: something it needs does not answer now."""

    state: Literal["DONE", "FAILED", "RETRY"]
    message: str = ""
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    model_version: int = 0


class RunFiles:
    """The folder of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = folder / "spec.json"
        self.result = folder / "result.json"
        self.log = folder / "output.log"

    def begin(self, spec: RunSpec) -> None:
        """Writes the specification and forgets the result of an earlier attempt."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.result.unlink(missing_ok=True)
        write_atomically(self.spec, msgspec.json.encode(spec))

    def read_spec(self) -> RunSpec:
        return msgspec.json.decode(self.spec.read_bytes(), type=RunSpec)

    def end(self, outcome: RunOutcome) -> None:
        write_atomically(self.result, msgspec.json.encode(outcome))

    def read_outcome(self) -> RunOutcome | None:
        """Returns None when the process has not left a readable result."""
        try:
            return msgspec.json.decode(self.result.read_bytes(), type=RunOutcome)
        except (OSError, msgspec.DecodeError):
            return None

    def log_tail(self, characters_max: int) -> str:
        """Returns the end of the log, from a line's beginning."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - characters_max))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return text if size <= characters_max else text.partition("\n")[2]


def keep_model(folder: Path, manifest: ModelManifest, raw: bytes) -> None:
    """Keeps a copy of what was exported beside the run's log."""
    write_atomically(folder / "model.onnx", raw)
    write_atomically(folder / "manifest.json", msgspec.json.encode(manifest))
