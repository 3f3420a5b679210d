"""Settings of the model registry, prefix `FRESHET_MODEL_REGISTRY_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import KafkaSettings, ServiceSettings, SqlSettings


class Settings(ServiceSettings, KafkaSettings, SqlSettings):
    """What the registry needs to know at start."""

    model_config = SettingsConfigDict(env_prefix="FRESHET_MODEL_REGISTRY_", frozen=True, extra="forbid")

    http_port: int = Field(default=8105, ge=0, le=65535, description="Port of the HTTP server.")
    database_url: str = Field(
        default="sqlite+aiosqlite:///.freshet/sql/model_registry.db",
        description="SQLAlchemy async URL of the database that holds versions, aliases and the outbox.",
    )
    data_dir: Path = Field(
        default=Path(".freshet/model_registry"), description="Folder of the content-addressed model files."
    )
    artifact_bytes_max: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="Largest model file that is accepted, in bytes."
    )
    check_memory_mb_max: int = Field(
        default=1024, ge=256, description="Address space of the process that checks an upload, in MiB."
    )
    check_s_max: float = Field(default=30.0, gt=0, description="Longest an upload's check may take, in seconds.")
    allow_control_flow: bool = Field(
        default=False, description="Accept models with Loop, Scan or If, which may run for ever."
    )
    outbox_interval_s: float = Field(
        default=1.0, gt=0, description="Seconds between attempts to publish waiting model events."
    )
