"""The wall clock of the simulated processes."""

from shared.kernel.clock import Micros
from tests.simulation.loop import SimLoop
from tests.simulation.plan import START


class Clock:
    """The wall clock of all processes; jumps when told to."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.ahead_us = 0

    def now(self) -> Micros:
        return Micros(START + int(self._loop.time() * 1_000_000) + self.ahead_us)
