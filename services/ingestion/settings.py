"""Settings of the ingestion service, environment prefix `FRESHET_INGESTION_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import ClockSettings, KafkaSettings, ServiceSettings, SqlSettings


class Settings(ServiceSettings, KafkaSettings, SqlSettings, ClockSettings):
    model_config = SettingsConfigDict(env_prefix="FRESHET_INGESTION_", frozen=True, extra="forbid")

    http_port: int = Field(default=8101, ge=0, le=65535, description="Port of the HTTP server.")
    in_flight_max: int = Field(
        default=2_000, ge=1, description="HTTP messages that may wait for Kafka at once; more are answered 503."
    )
    in_flight_bytes_max: int = Field(
        default=64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of HTTP bodies held at once; a request that needs more is answered 503.",
    )
    body_timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="Seconds a client may take to send a request's body."
    )
