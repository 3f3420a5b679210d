"""What clients send: XDM messages, over HTTP or straight to the `inbound` topic.

Kafka header `received-at` (decimal microseconds) carries the log time of replayed history and is honoured only
by an ingestion service that runs on the stream clock; live records take the broker's append time.
"""

from typing import Any

import msgspec

RECEIVED_AT_HEADER = "received-at"

SCORES_DATASET = "freshet-scores"
"""Built-in dataset of scores: attributes below `_freshet`, one per model."""

TICKS_DATASET = "freshet-ticks"
"""Built-in dataset of ticks: an empty entity whose `received-at` moves the log time of its partition on. Replays
send one to every partition of `inbound`; refused unless the stream clock runs."""


class SchemaRef(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    id: str
    content_type: str = "application/vnd.adobe.xed-full+json;version=1"


class InboundHeader(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`dataset_id` names the registered dataset whose schema and identity rules apply."""

    dataset_id: str
    schema_ref: SchemaRef | None = None
    ims_org_id: str = ""
    flow_id: str = ""
    source: dict[str, Any] | None = None


class InboundBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    xdm_entity: dict[str, Any]
    xdm_meta: dict[str, Any] | None = None


class InboundMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """An XDM message as clients write it (field names on the wire are camelCase)."""

    header: InboundHeader
    body: InboundBody
