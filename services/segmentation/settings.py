"""Settings of the segmentation service, environment prefix `FRESHET_SEGMENTATION_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import ClockSettings, KafkaSettings, RedisSettings, ServiceSettings, SqlSettings


class Settings(ServiceSettings, KafkaSettings, RedisSettings, SqlSettings, ClockSettings):
    model_config = SettingsConfigDict(env_prefix="FRESHET_SEGMENTATION_", frozen=True, extra="forbid")

    http_port: int = Field(default=8102, ge=0, le=65535, description="Port of the HTTP server.")
    ingestion_url: str = Field(
        default="http://127.0.0.1:8101", description="Where the union schema is read when definitions are checked."
    )
    states_cached_max: int = Field(
        default=20_000, ge=100, description="Decoded profile states held in memory, per partition."
    )
    previews_running_max: int = Field(
        default=2, ge=1, le=16, description="Previews computed at once; more wait outside."
    )
    preview_profiles_max: int = Field(
        default=500_000, ge=100, description="People in one preview's sample; a preview with more fails."
    )
    why_rows_max: int = Field(
        default=50_000,
        ge=0,
        description="Newest records of a partition searched for the ids of the events that `why` counts.",
    )
    backfill_rows_per_s_max: int = Field(
        default=5_000, ge=100, description="Records a second that bringing profiles over to new definitions may read."
    )
    backfill_profiles_max: int = Field(
        default=500_000,
        ge=1_000,
        description="Profiles whose history is rebuilt at once; with more, a partition's log is read several times.",
    )
