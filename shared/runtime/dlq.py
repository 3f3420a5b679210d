"""Dead letters: the raw record, unchanged, with headers that say why; Spring's names, so that its tools read them.

Encodings follow Spring Kafka's DeadLetterPublishingRecoverer: partition 4 bytes, offset and timestamp 8 bytes,
big-endian.
"""

from shared.adapters.kafka import ConsumerRecord, Message
from shared.kernel.errors import Rejected

_MESSAGE_CHARS_MAX = 1000


def dead_letter(record: ConsumerRecord, error: Rejected, stage: str, dlq_topic: str, group: str) -> Message:
    """Builds the dead letter of a record that `stage` refused."""
    message = str(error)[:_MESSAGE_CHARS_MAX].encode("utf-8", "replace")
    reasons = (
        ("freshet-dlq-reason", str(error.reason).encode()),
        ("freshet-dlq-stage", stage.encode()),
        ("freshet-dlq-message", message),
        ("kafka_dlt-original-topic", record.topic.encode()),
        ("kafka_dlt-original-partition", record.partition.to_bytes(4, "big")),
        ("kafka_dlt-original-offset", record.offset.to_bytes(8, "big")),
        ("kafka_dlt-original-timestamp", record.timestamp.to_bytes(8, "big")),
        ("kafka_dlt-original-consumer-group", group.encode()),
        ("kafka_dlt-exception-fqcn", f"{type(error).__module__}.{type(error).__qualname__}".encode()),
        ("kafka_dlt-exception-message", message),
    )
    kept = tuple(header for header in record.headers if not header[0].startswith(("kafka_dlt-", "freshet-dlq-")))
    return Message(dlq_topic, record.partition, record.key, record.value, kept + reasons)
