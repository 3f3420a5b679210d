"""What must hold at every moment of a schedule: only owners write, fences do not go back, no foreign key is touched."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.simulation.plan import PARTITIONS
from tests.simulation.redis_server import Command

if TYPE_CHECKING:
    from tests.simulation.world import World

_NAMESPACE = "sim"


class Fences:
    """Looks at Redis after each script.

    `furthest`: the highest offset each partition's fence ever stood at. `behind`: partitions that a roll-back has set
    back and nobody has claimed since; a schedule is not over before somebody has.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._offsets: defaultdict[int, int] = defaultdict(lambda: -1)
        self._last: dict[int, dict[bytes, bytes]] = {}
        self._left: defaultdict[int, dict[bytes, dict[bytes, bytes]]] = defaultdict(dict)
        self.furthest: defaultdict[int, int] = defaultdict(lambda: -1)
        self.behind: set[int] = set()

    def after_script(self, token: bytes, keys: Sequence[bytes], writes: Sequence[Command], answer: Any) -> None:
        """Checks what a script has written, and who ran it."""
        world = self._world
        if answer and answer[0] == b"repeated":
            world.note("response lost, call repeated")
        if answer and answer[0] == b"foreign":
            world.note("zombie refused")
        if not writes:
            return
        fence = world.redis.data[keys[0]]
        partition = int(keys[0].rpartition(b"}")[0].rpartition(b":")[2])
        if fence.get(b"owner") != token:
            world.violate("zombie", f"{token.decode()} wrote to partition {partition} of {fence.get(b'owner')!r}")
        offset = int(fence.get(b"offset", b"-1"))
        if offset < self._offsets[partition]:
            world.violate("I4", f"the fence of partition {partition} went back to {offset}")
        if offset >= world.broker.end(world.stage.source.name, partition):
            world.violate("I4", f"the fence of partition {partition} stands at {offset}, beyond the log")
        # Claimed again, or repeated by its owner before anybody noticed.
        if any(command[2:3] == (b"owner",) for command in writes) or fence == self._last.get(partition):
            self.behind.discard(partition)
        self._last[partition] = self._left[partition][token] = dict(fence)
        self._offsets[partition] = offset
        self.furthest[partition] = max(offset, self.furthest[partition])
        tag = f"{_NAMESPACE}:{{{world.stage.name}:{partition}}}:".encode()
        foreign = [command for command in writes if not command[1].startswith(tag)]
        if foreign:
            world.violate("I7", f"partition {partition} wrote to foreign keys {foreign}")

    def rolled_back(self) -> None:
        """Redis has lost the end of its log: fences may stand further back than before."""
        for partition in range(PARTITIONS):
            self._offsets[partition] = self._world.fence_offset(partition)
            fence = self._world.fence_of(partition)
            if self._last.get(partition, {}) != fence and not self._is_as_left(partition, fence):
                self.behind.add(partition)

    def _is_as_left(self, partition: int, fence: dict[bytes, bytes]) -> bool:
        """Tells whether only a zombie's claim is lost: the fence is as the worker in charge left it, which goes on."""
        host = self._world.owners[partition]
        if host is None or host.dead:
            return False
        own = [token for token in self._left[partition] if token.startswith(f"{host.name}/".encode())]
        newest = max(own, key=lambda token: int(token.rpartition(b"/")[2]), default=b"")
        return fence.get(b"owner") == newest and self._left[partition][newest] == fence
