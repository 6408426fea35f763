"""A look at an embedded Redis, and at its processes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from dataqueue.storage.embedded import EmbeddedRedis
from tests.embedded.support import processes_in


def ask(server: EmbeddedRedis | Path, *command: str) -> Any:
    """What the server answers to a command."""
    path = server if isinstance(server, Path) else server.socket
    with Redis(unix_socket_path=str(path), decode_responses=True, socket_timeout=10) as client:
        return client.execute_command(*command)


def servers_in(home: Path) -> list[int]:
    """The servers of a home: its processes that are no children of another of them."""
    parents = {}
    for process in processes_in(home):
        with suppress(psutil.NoSuchProcess):
            parents[process.pid] = process.ppid()
    return [pid for pid, parent in parents.items() if parent not in parents]


def pid_of(home: Path) -> int:
    return int((home / "redis" / "data" / "server.pid").read_text())
