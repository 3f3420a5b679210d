"""Settings of edge inference, prefix `FRESHET_EDGE_INFERENCE_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import KafkaSettings, RedisSettings, ServiceSettings


class Settings(ServiceSettings, KafkaSettings, RedisSettings):
    """What the edge needs to know at start. It starts and serves with Kafka, Redis and the registry down."""

    model_config = SettingsConfigDict(env_prefix="FRESHET_EDGE_INFERENCE_", frozen=True, extra="forbid")

    http_port: int = Field(default=8107, ge=0, le=65535, description="Port of the HTTP server.")
    registry_url: str = Field(
        default="http://127.0.0.1:8105", description="Model registry, asked for model files by digest."
    )
    data_dir: Path = Field(
        default=Path(".freshet/edge_inference"), description="Folder of the last-known-good bundles and model files."
    )
    models: tuple[str, ...] = Field(default=(), description="Serve these models only; empty means all champions.")
    in_flight_max: int = Field(
        default=256, ge=1, le=65_536, description="Requests worked on at once; more are answered 503 at once."
    )
    body_bytes_max: int = Field(default=1_048_576, ge=1024, description="Largest request body, in bytes.")
    rows_max: int = Field(default=1024, ge=1, description="Most rows in one inference request.")
    inline_rows_max: int = Field(
        default=64, ge=1, description="Runs of more rows than this leave the event loop for a thread."
    )
    redis_timeout_ms: int = Field(
        default=250, ge=1, le=10_000, description="Longest wait for a profile's features, in milliseconds."
    )
