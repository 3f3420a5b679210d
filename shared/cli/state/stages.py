"""The stateful stages by name. Services lie above this package, so they are named, and loaded when asked for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from shared.adapters.kafka_access import KafkaAccess
from shared.contracts.topics import EVENTS, PROFILE_UPDATES, Topic
from shared.runtime.stage import Stage, StateCodec


@dataclass(frozen=True, slots=True)
class StageName:
    """`codec` and `factory` are `module:name`; the factory takes (access to Kafka, topic prefix)."""

    source: Topic
    codec: str
    factory: str

    def load_codec(self) -> StateCodec[Any]:
        codec: StateCodec[Any] = _load(self.codec)()
        return codec

    async def make_stage(self, kafka: KafkaAccess, prefix: str) -> Stage[Any, Any]:
        factory: Callable[[KafkaAccess, str], Awaitable[Stage[Any, Any]]] = _load(self.factory)
        return await factory(kafka, prefix)


STAGES = {
    "segmentation": StageName(
        EVENTS, "services.segmentation.domain.state:StateCodec", "services.segmentation.app:rebuild_stage"
    ),
    "profile_store": StageName(
        PROFILE_UPDATES, "services.profile_store.domain.state:StateCodec", "services.profile_store.app:rebuild_stage"
    ),
}


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
