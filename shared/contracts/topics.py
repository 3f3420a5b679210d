"""The edges of the system: each Kafka topic once, with key, value, producers, consumers, cleanup and retention.

`deploy/kafka/topics.yaml` is generated from here; a test compares what is declared with what processes open.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.contracts.codec import Codec
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.inbound import InboundMessage
from shared.contracts.memberships import ProfileMemberships
from shared.contracts.models import ModelEvent, TrainingRequest
from shared.contracts.scores import Score
from shared.contracts.updates import ProfileUpdate
from shared.contracts.vectors import FeatureSetDefinition, FeatureVector

KEYED_PARTITIONS = 8
"""Partition count of every keyed topic: equal everywhere, because one profile is one partition number."""

_DAY_MS = 24 * 3600 * 1000
_MESSAGE_BYTES_MAX = 4 * 1024 * 1024


class Cleanup(StrEnum):
    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Topic:
    """A logical topic. The physical name is `prefix + name`; prefixes keep test runs and rebuilds apart."""

    name: str
    value: Any
    key: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    doc: str
    cleanup: Cleanup = Cleanup.DELETE
    retention_days: int = 30
    partitions: int = KEYED_PARTITIONS
    dlq: bool = False
    append_time: bool = False
    _codecs: list[Codec[Any]] = field(default_factory=list, repr=False, compare=False)

    @property
    def codec(self) -> Codec[Any]:
        if not self._codecs:
            self._codecs.append(Codec(self.value))
        return self._codecs[0]

    @property
    def dlq_name(self) -> str:
        return f"{self.name}-dlq"

    @property
    def config(self) -> dict[str, str]:
        """The broker's topic configuration."""
        config = {"cleanup.policy": str(self.cleanup), "max.message.bytes": str(_MESSAGE_BYTES_MAX)}
        if self.cleanup is Cleanup.DELETE:
            config["retention.ms"] = str(self.retention_days * _DAY_MS)
        if self.append_time:
            config["message.timestamp.type"] = "LogAppendTime"
        return config


INBOUND = Topic(
    name="inbound",
    value=InboundMessage,
    key="free for clients; Freshet's own producers use the profile id",
    producers=("clients", "ingestion", "scoring"),
    consumers=("ingestion",),
    doc="XDM messages as sent: not yet validated or identified. The broker's append time is their log time.",
    dlq=True,
    append_time=True,
)
EVENTS = Topic(
    name="events",
    value=Fact,
    key="profile id",
    producers=("ingestion",),
    consumers=("segmentation", "training"),
    doc="One log per person: validated, identified facts in arrival order.",
    dlq=True,
)
PROFILE_UPDATES = Topic(
    name="profile-updates",
    value=ProfileUpdate,
    key="profile id",
    producers=("segmentation",),
    consumers=("profile_store",),
    doc="Each fact together with what was decided on it.",
    dlq=True,
)
SEGMENT_MEMBERSHIPS = Topic(
    name="segment-memberships",
    value=ProfileMemberships,
    key="profile id",
    producers=("segmentation",),
    consumers=("clients",),
    doc="Entered and exited, with the profile's whole map of memberships.",
)
FEATURE_VECTORS = Topic(
    name="feature-vectors",
    value=FeatureVector,
    key="profile id",
    producers=("segmentation",),
    consumers=("scoring",),
    doc="Features of profiles that a fact has touched.",
    dlq=True,
)
SCORES = Topic(
    name="scores",
    value=Score,
    key="profile id",
    producers=("scoring",),
    consumers=("clients",),
    doc="Scores with model version; the same score returns to the person's log through `inbound`.",
)
SEGMENT_DEFINITIONS = Topic(
    name="segment-definitions",
    value=SegmentDefinition,
    key="segment id",
    producers=("segmentation",),
    consumers=("segmentation",),
    doc="Newest version of each segment definition.",
    cleanup=Cleanup.COMPACT,
    partitions=1,
)
FEATURE_DEFINITIONS = Topic(
    name="feature-definitions",
    value=FeatureSetDefinition,
    key="feature set name",
    producers=("segmentation",),
    consumers=("segmentation",),
    doc="Newest version of each feature set.",
    cleanup=Cleanup.COMPACT,
    partitions=1,
)
MODEL_EVENTS = Topic(
    name="model-events",
    value=ModelEvent,
    key="model/versions/N or model/aliases/NAME",
    producers=("model_registry",),
    consumers=("scoring", "edge_inference"),
    doc="Registered model versions and where the aliases point.",
    cleanup=Cleanup.COMPACT,
    partitions=1,
)
TRAINING_REQUESTS = Topic(
    name="training-requests",
    value=TrainingRequest,
    key="request id",
    producers=("training", "clients"),
    consumers=("training",),
    doc="Training runs asked for by people, schedules or programs.",
    partitions=1,
    dlq=True,
)

TOPICS: tuple[Topic, ...] = (
    INBOUND,
    EVENTS,
    PROFILE_UPDATES,
    SEGMENT_MEMBERSHIPS,
    FEATURE_VECTORS,
    SCORES,
    SEGMENT_DEFINITIONS,
    FEATURE_DEFINITIONS,
    MODEL_EVENTS,
    TRAINING_REQUESTS,
)


def physical_topics(prefix: str = "") -> dict[str, Topic]:
    """Returns every physical topic name, dead-letter topics included, with the topic it belongs to."""
    names = {prefix + topic.name: topic for topic in TOPICS}
    names |= {prefix + topic.dlq_name: topic for topic in TOPICS if topic.dlq}
    return names
