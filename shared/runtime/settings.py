"""Settings: one frozen object per service, read once from the environment in `__main__` and passed as values.

Each service's prefix is `FRESHET_<SERVICE>_`. An unknown variable under the prefix stops the start, because it is
nearly always a misspelt one. Mix-ins hold what several services share.
"""

import os
import re
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.adapters.kafka_access import KafkaAccess, SaslMechanism, SecurityProtocol
from shared.kernel.errors import ExitCode, Fatal

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@\s]*):[^@\s]+@")


class ServiceSettings(BaseSettings):
    """What every process has."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    http_host: str = Field(default="127.0.0.1", description="Address the HTTP server listens on.")
    http_port: int = Field(ge=0, le=65535, description="Port of the HTTP server: API, /metrics, /livez, /readyz.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["json", "console"] = Field(default="json", description="JSON lines, or text for people.")
    tenant: str = Field(default="default", min_length=1, description="Tenant whose data this process handles.")

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Reads the environment. Raises Fatal naming the variable that is missing, wrong or unknown."""
        prefix = str(cls.model_config.get("env_prefix", ""))
        known = {f"{prefix}{name}".upper() for name in cls.model_fields}
        for variable in os.environ:
            if prefix and variable.upper().startswith(prefix.upper()) and variable.upper() not in known:
                near = get_close_matches(variable.upper(), known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
                raise Fatal(f"environment variable {variable} is not a setting of this service{hint}")
        try:
            return cls(**overrides)
        except ValidationError as error:
            lines = [f"{prefix}{'.'.join(map(str, e['loc']))}".upper() + f": {e['msg']}" for e in error.errors()]
            raise Fatal("settings are wrong: " + "; ".join(lines), ExitCode.CONFIGURATION) from None

    def masked(self) -> dict[str, Any]:
        """All settings as plain values with secrets masked, for the log at start."""
        return {name: _masked(value) for name, value in self.model_dump().items()}


def _masked(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "***"
    return _PASSWORD_IN_URL.sub(r"\1:***@", value) if isinstance(value, str) else value


class KafkaSettings(BaseSettings):
    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:19092", description="Kafka brokers, host:port, comma-separated."
    )
    topic_prefix: str = Field(default="", description="Prepended to every topic and group name.")
    kafka_session_timeout_ms: int = Field(
        default=10_000,
        ge=2_000,
        le=300_000,
        description="After this silence the group takes a worker's partitions away.",
    )
    kafka_group_instance_id: str = Field(
        default="",
        max_length=200,
        description="Name of this process in its groups, unique among them: restarted within the session it gets its "
        "partitions back at once. Empty: partitions move with every start and stop.",
    )
    kafka_security_protocol: SecurityProtocol = Field(
        default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_mechanism: SaslMechanism = Field(
        default="PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; read with SASL only."
    )
    kafka_sasl_username: str = Field(default="", description="User name for SASL.")
    kafka_sasl_password: SecretStr = Field(default=SecretStr(""), description="Password for SASL.")
    kafka_ssl_cafile: str = Field(default="", description="PEM file of trusted roots; empty: the system's.")
    kafka_ssl_certfile: str = Field(default="", description="PEM file of this client's certificate, if one is asked.")
    kafka_ssl_keyfile: str = Field(default="", description="PEM file of that certificate's key.")

    @property
    def kafka_access(self) -> KafkaAccess:
        """What every Kafka client of the process is built from."""
        return KafkaAccess(
            self.kafka_bootstrap_servers,
            self.kafka_security_protocol,
            self.kafka_sasl_mechanism,
            self.kafka_sasl_username,
            self.kafka_sasl_password.get_secret_value(),
            self.kafka_ssl_cafile,
            self.kafka_ssl_certfile,
            self.kafka_ssl_keyfile,
        )


class RedisSettings(BaseSettings):
    redis_url: str = Field(default="redis://127.0.0.1:16379/0", description="Redis with appendonly and noeviction.")
    redis_namespace: str = Field(default="freshet", min_length=1, description="First part of every Redis key.")


class SqlSettings(BaseSettings):
    database_url: str = Field(description="SQLAlchemy async URL: sqlite+aiosqlite:///... or postgresql+asyncpg://...")


class ClockSettings(BaseSettings):
    clock: Literal["wall", "stream"] = Field(
        default="wall",
        description="wall: time is the machine's; stream: time is the newest received_at seen (replay of history).",
    )
