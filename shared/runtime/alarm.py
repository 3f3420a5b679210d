"""When a partition's next deadline may fire: by the wall clock, or by the log's own time."""

from collections.abc import Iterable

from shared.kernel.clock import Clock

_READ_UP_POLL_S = 0.02
"""How often to look whether the log has been read to its end, when only that keeps a deadline waiting."""


class Alarm:
    """The earliest deadline that is set, and the time that has been reached. Instants are µs.

    `wall` None means the stream clock: time is the newest log time of the partition. `grace_us`: on the wall clock a
    deadline fires this much late, so that records accepted before it have arrived; and only once they have been read,
    however far behind the worker is, because a deadline fired ahead of them would judge without them.
    """

    def __init__(self, wall: Clock | None, grace_us: int) -> None:
        self._wall = wall
        self._grace_us = grace_us
        self.log_time = 0
        self.read_up_at: int | None = None
        """When the log was last seen read to its end, on the wall clock. None: nobody looks, the wall clock decides."""
        self.next_due: int | None = 0
        """0: unknown yet, the first look into Redis tells. None: no deadline is set."""

    def time_reached(self) -> int:
        """The instant up to which deadlines may fire now.

        On the stream clock only what lies strictly before the newest log time: records of that instant may follow.
        """
        if self._wall is None:
            return self.log_time - 1
        now = self._wall.now()
        if self.read_up_at is None:
            return now - self._grace_us
        return max(self.log_time - 1, min(now, self.read_up_at) - self._grace_us)

    @property
    def has_come(self) -> bool:
        return self.next_due is not None and self.next_due <= self.time_reached()

    def seconds_left(self) -> float | None:
        """None when only records can bring a deadline nearer: none is set, or the log moves time on (stream clock)."""
        if self.next_due is None:
            return None
        if self.has_come:
            return 0.0
        if self._wall is None:
            return None
        left_s = (self.next_due + self._grace_us - self._wall.now()) / 1e6
        return left_s if left_s > 0 else _READ_UP_POLL_S

    def set(self, deadlines: Iterable[int | None]) -> None:
        """Takes notice of deadlines that a step decided."""
        for at in deadlines:
            if at is not None and (self.next_due is None or at < self.next_due):
                self.next_due = at
