"""Settings of the embedded platform: variables `FRESHET_LOCAL_<FIELD>`, defaults that suit one machine."""

import ipaddress
import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.errors import PlatformError

PREFIX = "FRESHET_LOCAL_"
CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds `deploy`, `services` and `shared`; every process runs in it."""

OWNER_VARIABLE = PREFIX + "OWNER"
"""Set in the environment of every process of a platform to its home: how leftovers are recognised."""

_UNQUOTABLE = frozenset("\"'`\\,\n\r")


class LocalSettings(BaseSettings):
    """Where the embedded platform lives, which ports it takes and how big it may get."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True)

    home: Path = CHECKOUT / ".freshet"
    """Folder of all state, logs and run files; a relative path counts from the working directory."""
    host: str = "127.0.0.1"
    """Address that everything listens on. Only loopback addresses are accepted: nothing here is protected."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9-]{0,40}$")
    """Put in front of every Kafka topic name, so that runs on one broker can be kept apart."""
    clock: Literal["wall", "stream"] = "wall"
    """`wall` judges relative windows by the machine's clock; `stream` by the newest `received_at`, for replays."""
    java: Literal["auto", "bundled", "system"] = "auto"
    """Which Java runs the broker: the wheel's (`bundled`), `JAVA_HOME`'s or `PATH`'s (`system`), or what works."""
    kafka_heap_mb: int = Field(default=512, ge=128, le=32_768)
    """Largest heap of the broker, MiB."""
    redis_memory_mb: int = Field(default=0, ge=0)
    """Memory at which Redis refuses writes (it never evicts), MiB; 0 sets no limit."""
    disk_free_mb_min: int = Field(default=1_024, ge=0)
    """Free disk space below `home` under which nothing is started, MiB."""
    log_mb_max: int = Field(default=20, ge=1)
    """Size at which a log file is rotated, MiB; three old ones are kept."""
    ready_timeout_s: float = Field(default=120.0, gt=0, le=3_600)
    """How long `up` waits for everything to answer, seconds."""
    stop_timeout_s: int = Field(default=15, ge=1, le=600)
    """How long a service may take to stop before it is killed, seconds; the broker gets twice that."""

    kafka_port: int = Field(default=19_092, ge=1, le=65_535)
    """Port of the broker for clients."""
    kafka_controller_port: int = Field(default=19_093, ge=1, le=65_535)
    """Port of the KRaft controller inside the same process."""
    redis_port: int = Field(default=16_379, ge=1, le=65_535)
    """Port of Redis."""
    ingestion_port: int = Field(default=8_101, ge=1, le=65_535)
    """HTTP port of ingestion."""
    segmentation_port: int = Field(default=8_102, ge=1, le=65_535)
    """HTTP port of segmentation."""
    profile_store_port: int = Field(default=8_103, ge=1, le=65_535)
    """HTTP port of the profile store."""
    training_port: int = Field(default=8_104, ge=1, le=65_535)
    """HTTP port of training."""
    model_registry_port: int = Field(default=8_105, ge=1, le=65_535)
    """HTTP port of the model registry."""
    scoring_port: int = Field(default=8_106, ge=1, le=65_535)
    """HTTP port of scoring."""
    edge_inference_port: int = Field(default=8_107, ge=1, le=65_535)
    """HTTP port of edge inference."""

    @field_validator("home")
    @classmethod
    def _home_is_absolute(cls, home: Path) -> Path:
        # The path is written into the configuration of three programs, whose quoting rules differ.
        if bad := sorted(_UNQUOTABLE & set(str(home))):
            raise ValueError(f"the path holds {' '.join(map(repr, bad))}, which configuration files cannot carry")
        return home.resolve()

    @field_validator("host")
    @classmethod
    def _host_is_loopback(cls, host: str) -> str:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} is not a loopback address; use 127.0.0.1")
        return host

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        seen: dict[int, str] = {}
        for name in self.__class__.model_fields:
            if name.endswith("_port") and (other := seen.setdefault(getattr(self, name), name)) != name:
                raise ValueError(f"{PREFIX}{other.upper()} and {PREFIX}{name.upper()} are the same port")
        return self

    @property
    def kafka_bootstrap_servers(self) -> str:
        return f"{self.host}:{self.kafka_port}"

    @property
    def redis_url(self) -> str:
        return f"redis://{self.host}:{self.redis_port}/0"

    def port(self, program: str) -> int:
        """Returns the port of `kafka`, `redis` or a service."""
        port = getattr(self, f"{program}_port")
        assert isinstance(port, int)
        return port

    def url(self, service: str) -> str:
        """Returns the base URL of a service, without a slash at its end."""
        return f"http://{self.host}:{self.port(service)}"


def load_settings() -> LocalSettings:
    """Returns the settings from the environment.

    Raises `PlatformError` for a value out of bounds and for a variable under the prefix that no setting has,
    because a misspelt variable would otherwise be silently without effect.
    """
    known = {PREFIX + name.upper() for name in LocalSettings.model_fields} | {OWNER_VARIABLE}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known:
            names = ", ".join(sorted(known))
            raise PlatformError(f"{variable} is not a setting of the embedded platform. Known are: {names}.")
    try:
        return LocalSettings()
    except ValidationError as error:
        raise PlatformError("; ".join(_sentence(e["loc"], e["msg"], e["input"]) for e in error.errors())) from error


def _sentence(location: tuple[int | str, ...], message: str, found: object) -> str:
    if not location:
        return message
    return f"{PREFIX}{str(location[0]).upper()}: {message} (found {found!r})"
