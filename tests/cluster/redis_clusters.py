"""A Redis Cluster for tests: three masters, each with a replica, on free ports of this machine, in memory alone."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from dataqueue.storage.embedded.account import own_account_for
from dataqueue.storage.embedded.redis_binary import find_redis
from dataqueue.storage.redis.keys import beginning_of
from tests.redis_servers import SLOTS, port_with_a_bus, until

MASTERS: Final = 3
# After so many milliseconds of silence a master counts as gone, and its replica asks to be elected.
SILENCE: Final = 1000
_SETTINGS: Final = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", str(SILENCE), "--bind", "127.0.0.1", "--logfile", "log"),
    *("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"),
    # While one master is away, the others go on: nothing of ours spans two of them.
    *("--cluster-require-full-coverage", "no"),
)


class Node:
    """One server of the cluster."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port = port_with_a_bus()
        own = folder / str(self.port)
        own.mkdir()
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), *_SETTINGS], cwd=own, start_new_session=True
        )
        self.client: Any = Redis(port=self.port, decode_responses=True)

    @property
    def id(self) -> str:
        return str(self.say("MYID"))

    def say(self, *words: Any) -> Any:
        """What it answers to a CLUSTER command."""
        return self.client.execute_command("CLUSTER " + str(words[0]), *words[1:])

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def answers(self) -> bool:
        """Whether it takes commands."""
        assert self.is_alive, "a node has ended"
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def kill(self) -> None:
        """As a machine that loses its power: it says nothing to anybody."""
        self.client.close()
        self._process.kill()
        self._process.wait()


class Cluster:
    """The whole of it. What was killed stays away."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes

    @property
    def url(self) -> str:
        """It names every node: whichever is away, another tells of those that are there."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)

    @property
    def alive(self) -> list[Node]:
        return [node for node in self._nodes if node.is_alive]

    def masters(self) -> list[Node]:
        """Those that answer for slots, as they say themselves."""
        return [node for node in self.alive if node.client.info("replication")["role"] == "master"]

    def master_of(self, namespace: str) -> Node:
        """The node that answers for the keys of a namespace."""
        return self.master_with(beginning_of(namespace))

    def master_with(self, key: str) -> Node:
        """The node that answers for a key."""
        slot = key_slot(key.encode())
        for node in self.masters():
            if any(first <= slot <= last for first, last in _slots_of(node)):
                return node
        raise AssertionError(f"nobody answers for {key}")

    def namespaces(self, each: int) -> dict[int, list[str]]:
        """So many names for each master, by its port."""
        found: dict[int, list[str]] = {node.port: [] for node in self.masters()}
        number = 0
        while any(len(names) < each for names in found.values()):
            name = f"tenant-{number}"
            names = found[self.master_of(name).port]
            if len(names) < each:
                names.append(name)
            number += 1
        return found

    def is_whole(self) -> bool:
        """Whether every node that lives sees every slot answered for."""
        return all(node.say("INFO")["cluster_state"] == "ok" for node in self.alive)

    def has_replicas(self) -> bool:
        """Whether each master has a replica that has caught up with it."""
        return all(_replicas_up(node) for node in self.masters()) and len(self.masters()) == MASTERS

    def move(self, namespace: str, to: Node, *, keys_at_once: int, pause: float) -> None:
        """Move the slot of a namespace as `redis-cli --cluster reshard` does, but slowly: for a while half of it is
        here and half of it there."""
        slot, source = slot_of(namespace), self.master_of(namespace)
        to.say("SETSLOT", slot, "IMPORTING", source.id)
        source.say("SETSLOT", slot, "MIGRATING", to.id)
        while keys := source.say("GETKEYSINSLOT", slot, keys_at_once):
            moved = source.client.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
            assert moved == "OK", moved
            time.sleep(pause)
        for node in (to, source, *self.masters()):
            node.say("SETSLOT", slot, "NODE", to.id)

    def has_taken_over(self, dead: Node) -> bool:
        """Whether there are three masters again, none of them the dead one."""
        return not dead.is_alive and len(self.masters()) == MASTERS and self.is_whole()


def slot_of(namespace: str) -> int:
    """The hash slot in which a namespace lives."""
    return key_slot(beginning_of(namespace).encode())


@contextmanager
def redis_cluster() -> Iterator[Cluster]:
    """A cluster of one's own, whole and replicated when the block begins."""
    folder = Path(tempfile.mkdtemp(prefix="dqcluster-", dir="/tmp"))
    program = find_redis(own_account_for(folder))
    nodes: list[Node] = []
    try:
        for _ in range(2 * MASTERS):
            nodes.append(Node(program, folder))  # noqa: PERF401 - those before one that does not start are ended
        cluster = Cluster(nodes)
        _join(cluster, nodes)
        yield cluster
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(folder)


def _join(cluster: Cluster, nodes: list[Node]) -> None:
    first, masters, replicas = nodes[0], nodes[:MASTERS], nodes[MASTERS:]
    for node in nodes:
        until(node.answers)
        first.say("MEET", "127.0.0.1", node.port)
    for number, node in enumerate(masters):
        node.say("ADDSLOTS", *range(number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS))
    until(lambda: all(len(node.say("NODES")) == len(nodes) for node in nodes))
    for master, replica in zip(masters, replicas, strict=True):
        replica.say("REPLICATE", master.id)
    until(cluster.is_whole)
    until(cluster.has_replicas)


def _slots_of(node: Node) -> list[tuple[int, int]]:
    """The ranges of slots that it says it answers for."""
    ranges = node.say("NODES")[f"127.0.0.1:{node.port}"]["slots"]
    return [(int(one[0]), int(one[-1])) for one in ranges]


def _replicas_up(master: Node) -> bool:
    said = master.client.info("replication")
    return said["connected_slaves"] > 0 and all(
        said[f"slave{number}"]["state"] == "online" for number in range(said["connected_slaves"])
    )
