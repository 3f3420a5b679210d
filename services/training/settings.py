"""Settings of training, prefix `FRESHET_TRAINING_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import KafkaSettings, ServiceSettings, SqlSettings


class Settings(ServiceSettings, KafkaSettings, SqlSettings):
    """What training needs to know at start."""

    model_config = SettingsConfigDict(env_prefix="FRESHET_TRAINING_", frozen=True, extra="forbid")

    http_port: int = Field(default=8104, ge=0, le=65535, description="Port of the HTTP server.")
    database_url: str = Field(
        default="sqlite+aiosqlite:///.freshet/sql/training.db",
        description="SQLAlchemy async URL of the database that holds runs and schedules.",
    )
    data_dir: Path = Field(
        default=Path(".freshet/training"), description="Folder of the runs: log, result and exported model of each."
    )
    registry_url: str = Field(
        default="http://127.0.0.1:8105", description="Model registry that trained models are registered in."
    )
    segmentation_url: str = Field(
        default="http://127.0.0.1:8102", description="Segmentation, asked for feature set definitions."
    )
    run_s_max: float = Field(default=3600.0, gt=0, description="Longest a run may take, in seconds of wall time.")
    run_memory_mb_max: int = Field(default=6144, ge=512, description="Address space of a run's process, in MiB.")
    run_niceness: int = Field(default=10, ge=0, le=19, description="Niceness of a run's process: live traffic first.")
    run_attempts_max: int = Field(
        default=3, ge=1, le=100, description="Attempts of a run that was interrupted or found a service down."
    )
