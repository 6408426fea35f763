"""Redis servers for tests. Their data are worth nothing and are kept in memory alone."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from dataqueue.storage.embedded.account import own_account_for
from dataqueue.storage.embedded.redis_binary import find_redis

SLOTS: Final = 16384
# The port by which the nodes of a cluster speak lies so far above the port for clients.
BUS: Final = 10_000
PATIENCE: Final = 20.0


class RedisServer:
    """A running server, and a look at what it keeps."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self.url = f"unix://{path}?db=0"
        self.client: Any = Redis.from_url(self.url)
        self._process = process

    def empty(self) -> None:
        """Remove all keys."""
        self.client.flushall()
        assert self.client.dbsize() == 0, "somebody still writes"

    def is_there(self) -> bool:
        """Whether it answers."""
        assert self._process.poll() is None, "the server has ended"
        try:
            return bool(self.client.ping())
        except NoConnection:
            return False

    def serves_all_slots(self) -> bool:
        """Whether it is a whole cluster."""
        said: dict[str, str] = self.client.execute_command("CLUSTER INFO")
        return said["cluster_state"] == "ok"


@contextmanager
def redis_server(*, cluster: bool = False) -> Iterator[RedisServer]:
    """A server of one's own. As a cluster of one node it refuses scripts that touch keys of several slots."""
    # A short place: a socket's path has 107 bytes.
    folder = tempfile.TemporaryDirectory(prefix="dqredis-", dir="/tmp")
    with folder as name, _running(Path(name), cluster=cluster) as server:
        yield server


@contextmanager
def _running(folder: Path, *, cluster: bool) -> Iterator[RedisServer]:
    path = folder / "redis.sock"
    settings = [
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "no",
        "--port",
        "0",
        "--logfile",
        "log",
    ]
    if cluster:
        settings += ["--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", str(port_with_a_bus())]
    program = find_redis(own_account_for(folder))
    with subprocess.Popen([program, *settings], cwd=folder, start_new_session=True) as process:
        server = RedisServer(path, process)
        try:
            until(server.is_there)
            if cluster:
                server.client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
                until(server.serves_all_slots)
            yield server
        finally:
            server.client.close()
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it never came true: {condition}"
        time.sleep(0.01)


def port_with_a_bus() -> int:
    """A free port whose cluster bus is free too."""
    while True:
        with socket.socket() as clients, socket.socket() as nodes:
            clients.bind(("127.0.0.1", 0))
            port = int(clients.getsockname()[1])
            with suppress(OSError, OverflowError):
                nodes.bind(("127.0.0.1", port + BUS))
                return port
