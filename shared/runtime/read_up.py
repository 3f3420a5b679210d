"""Up to when the broker's answers tell that nothing of a partition is unread."""

from shared.adapters.kafka import TopicPartition


class Answers:
    """When each partition's fetches were answered (µs, wall clock).

    An answer may be on its way for long, and says how the log was when the broker gave it. What is certain is when it
    was asked for: after the answer before it had come.
    """

    def __init__(self) -> None:
        self._came: dict[TopicPartition, tuple[int | None, int]] = {}

    def asked_at(self, tp: TopicPartition, came_ms: int | None) -> int | None:
        """Takes notice of when the newest answer came (ms; None: none yet); returns when it cannot have been asked for
        earlier (µs), None while that is unknown. To be called with every poll: answers not seen only make it older."""
        if came_ms is None:
            return None
        asked, came = self._came.get(tp, (None, 0))
        if came_ms * 1000 != came:
            asked = came or None
            self._came[tp] = asked, came_ms * 1000
        return asked

    def forget(self) -> None:
        """Answers to the member of an earlier generation say nothing of the one that asks now."""
        self._came.clear()
