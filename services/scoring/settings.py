"""Settings of scoring, prefix `FRESHET_SCORING_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.feed import FeedSettings
from shared.runtime.settings import ServiceSettings


class Settings(ServiceSettings, FeedSettings):
    """What scoring needs to know at start."""

    model_config = SettingsConfigDict(env_prefix="FRESHET_SCORING_", frozen=True, extra="forbid")

    http_port: int = Field(default=8106, ge=0, le=65535, description="Port of the HTTP server.")
    registry_url: str = Field(
        default="http://127.0.0.1:8105", description="Model registry, asked for model files by digest."
    )
    data_dir: Path = Field(
        default=Path(".freshet/scoring"),
        description="Folder of model files kept from earlier, so that scoring restarts without the registry.",
    )
    models: tuple[str, ...] = Field(default=(), description="Score with these models only; empty means all champions.")
