"""What ingestion tells about a message that its dataset's schema does not allow."""

from dataclasses import dataclass

from shared.kernel.errors import Reason, Rejected


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `schema_location` and `pointer` are JSON pointers; `message` names no value of the entity."""

    schema_location: str
    pointer: str
    keyword: str
    message: str


class InvalidMessageError(Rejected):
    """The entity breaks its schema; `violations` holds the first few."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        rules = "; ".join(f"{violation.pointer or '/'}: {violation.message}" for violation in violations)
        super().__init__(f"the entity does not match its dataset's schema: {rules}", Reason.SCHEMA)
        self.violations = violations
