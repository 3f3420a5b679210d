"""How the operator's commands get at Kafka: FRESHET_KAFKA_*, the settings that services have under their own prefix."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from shared.cli.segments.errors import WrongInput
from shared.runtime.settings import KafkaSettings, RedisSettings

KAFKA, CLI = "FRESHET_KAFKA_", "FRESHET_CLI_"
_PASSWORD_FILE = f"{KAFKA}SASL_PASSWORD_FILE"
_OF_GROUPS = {"kafka_session_timeout_ms", "kafka_group_instance_id"}
_KAFKA_FIELDS = {
    f"FRESHET_{name}".upper(): name
    for name in KafkaSettings.model_fields
    if name.startswith("kafka_") and name not in _OF_GROUPS
}
_CLI_FIELDS = {f"{CLI}{name}".upper(): name for name in ("topic_prefix", *RedisSettings.model_fields)}


def read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns settings by field name. Raises WrongInput naming an unknown variable, or a password file unread.

    The password comes from here alone, because everybody on the machine can read a command's options.
    """
    fields = _KAFKA_FIELDS | _CLI_FIELDS
    known = {*fields, _PASSWORD_FILE}
    found: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith((KAFKA, CLI)):
            continue
        if variable not in known:
            near = get_close_matches(variable.replace(f"{CLI}KAFKA_", KAFKA), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise WrongInput(f"environment variable {variable} is not a setting of freshet; {hint}")
        if variable in fields:
            found[fields[variable]] = value
    if _PASSWORD_FILE in environment:
        if "kafka_sasl_password" in found:
            raise WrongInput(f"{KAFKA}SASL_PASSWORD and {_PASSWORD_FILE} are both set: keep one")
        found["kafka_sasl_password"] = _password_in(Path(environment[_PASSWORD_FILE]))
    return found


def variable_of(field: str) -> str:
    """Returns the environment variable of a field, for what is said about a wrong value."""
    return next((name for name, known in (_KAFKA_FIELDS | _CLI_FIELDS).items() if known == field), field)


def _password_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{_PASSWORD_FILE} names {path}, which cannot be read: {error}") from error
