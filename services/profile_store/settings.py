"""Settings of the profile store, environment prefix `FRESHET_PROFILE_STORE_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import ClockSettings, KafkaSettings, RedisSettings, ServiceSettings


class Settings(ServiceSettings, KafkaSettings, RedisSettings, ClockSettings):
    model_config = SettingsConfigDict(env_prefix="FRESHET_PROFILE_STORE_", frozen=True, extra="forbid")

    http_port: int = Field(default=8103, ge=0, le=65535, description="Port of the HTTP server.")
    states_cached_max: int = Field(
        default=20_000, ge=100, description="Decoded profile states held in memory, per partition."
    )
