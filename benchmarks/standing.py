"""Opens the ground, and closes it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.ground import Ground
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import Fleet
from benchmarks.redis_ground import RedisGround
from dataqueue.storage.backend import Backend
from dataqueue.storage.embedded import open_embedded, open_embedded_redis


@contextmanager
def standing(backend: Backend) -> Iterator[Ground]:
    """A ground that leaves nothing behind, however the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="dqbench-", dir="/tmp"))  # short: a socket's path has 107 bytes
    # The server's account, another one than root's, has to get through.
    folder.chmod(0o755)
    logs, home = folder / "logs", folder / "home"
    logs.mkdir()
    fleet = Fleet(logs)
    try:
        with ExitStack() as servers:

            def postgres() -> Ground:
                return PostgresGround(servers.enter_context(open_embedded(home)), fleet, home)

            try:
                if backend is Backend.POSTGRES:
                    yield postgres()
                else:
                    yield RedisGround(servers.enter_context(open_embedded_redis(home)), fleet, home, postgres)
            finally:
                fleet.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
