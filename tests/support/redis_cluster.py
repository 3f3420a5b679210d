"""A Redis Cluster on this machine: three masters and a replica of the first, in a folder of its own."""

import asyncio
import contextlib
import random
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from deploy.local import redis_server
from tests.support.waiting import wait_until

SLOTS = 16_384
MASTERS = 3
_BUS_OFFSET = 10_000
"""Redis 6 listens for its peers this far above the port of its clients."""


@dataclass
class Node:
    """One server. `id` is its name in the cluster."""

    port: int
    process: subprocess.Popen[bytes]
    client: Any
    id: str = ""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class LocalCluster:
    """`nodes`: the masters in the order of their slots, then the replica of the first."""

    nodes: Sequence[Node]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:MASTERS])

    @property
    def replica(self) -> Node:
        return self.nodes[MASTERS]

    @classmethod
    @contextlib.contextmanager
    def started(cls) -> Iterator["LocalCluster"]:
        """Runs the cluster for the block. Raises PlatformError where there is no Redis server."""
        server = redis_server.find_server()
        with tempfile.TemporaryDirectory(prefix="freshet-test-") as folder, contextlib.ExitStack() as running:
            nodes = [_start(server, Path(folder) / str(number)) for number in range(MASTERS + 1)]
            for node in nodes:
                running.callback(node.kill)
            cluster = cls(nodes)
            cluster._join()
            yield cluster

    def _join(self) -> None:
        for node in self.nodes:
            wait_until(lambda node=node: _answers(node), "a node of the cluster")  # type: ignore[misc]
            node.id = str(node.client.execute_command("CLUSTER", "MYID"))
        bounds = [SLOTS * number // MASTERS for number in range(MASTERS + 1)]
        for number, node in enumerate(self.nodes):
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < MASTERS:
                node.client.execute_command("CLUSTER", "ADDSLOTS", *range(bounds[number], bounds[number + 1]))
        for node in self.nodes[1:]:
            node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        wait_until(lambda: all(_knows(node, len(self.nodes)) for node in self.nodes), "all nodes to know each other")
        self.replica.client.execute_command("CLUSTER", "REPLICATE", self.nodes[0].id)
        wait_until(lambda: all(_is_whole(node) for node in self.nodes), "the cluster")
        wait_until(lambda: self._replica_follows(), "the replica")

    def _replica_follows(self) -> bool:
        return bool(self.replica.client.info("replication").get("master_link_status") == "up")

    def cut_replication(self) -> None:
        """What the first master writes from now on does not reach its replica any more."""
        self.replica.client.config_set("masteruser", "nobody")
        self.replica.client.config_set("masterauth", "nothing")
        self.nodes[0].client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        wait_until(lambda: not self._replica_follows(), "the link to the replica cut")

    def promote_replica(self) -> None:
        """Kills the first master (SIGKILL); its replica takes its slots over with what it has."""
        self.nodes[0].kill()
        self.replica.client.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
        wait_until(lambda: self.replica.client.info("replication")["role"] == "master", "the replica promoted")

    def owner(self, slot: int) -> Node:
        """The master that holds a slot by the opinion of the second one, which no test kills."""
        port = _owner(self.nodes[1], slot)
        assert port, f"nobody holds slot {slot}"
        return next(node for node in self.nodes if node.port == port)

    def move_slot(self, slot: int, target: Node) -> None:
        """Moves a slot while it is used, as `redis-cli --cluster reshard` does: key by key, then for good."""
        source = self.owner(slot)
        target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            arguments = ("127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
            source.client.execute_command("MIGRATE", *arguments)
        told = (target, source, *self.nodes[:MASTERS])

        def agreed() -> bool:
            # A claim of before that is still under way between two nodes may set one of them back.
            behind = [node for node in told if _owner(node, slot) != target.port]
            for node in behind:
                node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
            return not behind

        wait_until(agreed, f"slot {slot} held by one node for all")

    async def moved(self, slot: int, target: Node) -> None:
        """`move_slot` beside a running loop."""
        await asyncio.to_thread(self.move_slot, slot, target)


def _start(server: redis_server.RedisServer, folder: Path) -> Node:
    folder.mkdir()
    port = _free_port()
    options = {
        "cluster-enabled": "yes",
        "cluster-node-timeout": "2000",
        "cluster-require-full-coverage": "no",
        "cluster-replica-no-failover": "yes",  # the test says when
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [str(server.path), *redis_server.configuration("127.0.0.1", port, folder, 0), *flags]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Node(port, process, redis.Redis(port=port, decode_responses=True, socket_timeout=10))


def _free_port() -> int:
    """A port that is free together with its peers' port."""
    while True:
        port = random.randint(20_000, 50_000)
        with contextlib.suppress(OSError), socket.socket() as clients, socket.socket() as peers:
            clients.bind(("127.0.0.1", port))
            peers.bind(("127.0.0.1", port + _BUS_OFFSET))
            return port


def _answers(node: Node) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(node.client.ping())
    return False


def _knows(node: Node, count: int) -> bool:
    return int(_info(node)["cluster_known_nodes"]) == count


def _owner(node: Node, slot: int) -> int:
    """The port of a slot's master by the opinion of a node; 0 for none."""
    for row in node.client.execute_command("CLUSTER", "SLOTS"):
        if row[0] <= slot <= row[1]:
            return int(row[2][1])
    return 0


def _is_whole(node: Node) -> bool:
    found = _info(node)
    return found["cluster_state"] == "ok" and int(found["cluster_slots_ok"]) == SLOTS


def _info(node: Node) -> dict[str, str]:
    answer: Any = node.client.execute_command("CLUSTER", "INFO")
    return answer if isinstance(answer, dict) else dict(line.split(":") for line in answer.split())
