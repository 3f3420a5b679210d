"""What a run knows of itself while it goes on: written by its tasks, read by the display."""

import time
from dataclasses import dataclass, field

from deploy.demo.pace import Rate
from deploy.demo.pipeline import NOTHING, Look
from deploy.demo.reader import MembershipReader
from deploy.demo.sender import Sender
from shared.contracts.topics import SCORES
from shared.sdk import Run


@dataclass
class RunState:
    """`phase`: what goes on, in words. `total`: events that will be sent, as far as known. Times are monotonic s."""

    sender: Sender
    reader: MembershipReader
    total: int
    started_s: float = field(default_factory=time.monotonic)
    phase: str = "sending"
    look: Look = NOTHING
    run: Run | None = None
    first_decided_s: float | None = None
    sent_rate: Rate = field(default_factory=Rate)
    decided_rate: Rate = field(default_factory=Rate)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_s

    @property
    def decided(self) -> int:
        return self.look.done["segmentation"]

    @property
    def scores(self) -> int:
        return self.look.ends[SCORES.name]

    @property
    def share_sent(self) -> float:
        return min(1.0, self.sender.events / self.total) if self.total else 1.0

    def note(self, look: Look) -> None:
        """Takes a look at the pipeline."""
        self.look = look
        self.sent_rate.note(look.at_s, self.sender.sent)
        self.decided_rate.note(look.at_s, self.decided)
        if self.first_decided_s is None and self.decided:
            self.first_decided_s = self.elapsed_s
