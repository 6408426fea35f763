"""The ground that is measured on: a PostgreSQL of our own with production's settings, and processes on free ports."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy.engine import make_url

from benchmarks.processes import Fleet, Process, cpu_seconds, free_port
from dataqueue.storage.embedded import EmbeddedPostgres, open_embedded
from dataqueue.storage.opening import migrate

HANDLERS: Final = "benchmarks.handlers"


class Ground:
    """Makes databases and starts processes; `standing` opens and closes it."""

    def __init__(self, server: EmbeddedPostgres, fleet: Fleet, home: Path) -> None:
        self._server, self._fleet, self._home = server, fleet, home
        self._databases = 0

    async def database(self, *, migrated: bool = True) -> str:
        """The URL of a new database, with our schema in it unless said otherwise."""
        self._databases += 1
        name = f"bench_{self._databases}"
        async with self.connected("postgres") as connection:
            await connection.execute(f"create database {name}")
        url = self._server.url_for(name)
        if migrated:
            await migrate(url)
        return url

    async def drop(self, url: str) -> None:
        """Give a database's space and its share of the cache back."""
        async with self.connected("postgres") as connection:
            await connection.execute(f"drop database {make_url(url).database} with (force)")

    def connected(self, url: str) -> _Connected:
        """A connection by URL, or by the name of a database."""
        return _Connected(url if "://" in url else self._server.url_for(url))

    async def settle(self, url: str) -> None:
        """Statistics as in a queue that has run for a while, and no checkpoint left over from what came before."""
        async with self.connected(url) as connection:
            await connection.execute("vacuum analyze")
            await connection.execute("checkpoint")

    async def commits(self, url: str) -> int:
        """Transactions of a database, as far as its sessions have told; asked from another database."""
        async with self.connected("postgres") as connection:
            return int(
                await connection.fetchval(
                    "select xact_commit + xact_rollback from pg_stat_database where datname = $1",
                    make_url(url).database,
                )
            )

    def postgres_cpu(self) -> float:
        """CPU seconds of the server and all of its sessions."""
        [pid_file] = self._home.glob("pg*/postmaster.pid")
        return cpu_seconds(int(pid_file.read_text().split("\n", 1)[0]))

    async def api(self, url: str) -> tuple[Process, int]:
        """The API as `dataqueue serve` starts it, ready, and its port."""
        port = free_port()
        process = self._fleet.start("workers", "serve", "--port", str(port), env={"DATAQUEUE_URL": url}, listens=True)
        await process.connectable(port)
        return process, port

    async def reference(self, kind: str, url: str) -> tuple[Process, int]:
        """An application of `benchmarks.references`, served as the API is."""
        port = free_port()
        env = {"DATAQUEUE_URL": url, "DATAQUEUE_HOST": "127.0.0.1"}
        process = self._fleet.start("benchmarks.references", kind, str(port), env=env, listens=True)
        await process.connectable(port)
        return process, port

    async def worker(self, url: str, *, concurrency: int, processes: int = 1, **env: str) -> Process:
        """`dataqueue worker` with the handlers of the benchmark, once all of its processes listen for hints."""
        before = await self._listeners(url)
        process = self._fleet.start(
            "workers",
            *("worker", "--import", HANDLERS, "--concurrency", str(concurrency), "--processes", str(processes)),
            env={"DATAQUEUE_URL": url, **env},
            listens=True,
        )
        while await self._listeners(url) < before + processes:
            process.insist_alive()
            await asyncio.sleep(0.1)
        return process

    def tool(self, module: str, *arguments: str, **env: str) -> Process:
        """A process of the benchmark's own, whose output is read."""
        return self._fleet.start(module, *arguments, env=env)

    async def _listeners(self, url: str) -> int:
        async with self.connected("postgres") as connection:
            return int(
                await connection.fetchval(
                    "select count(*) from pg_stat_activity where datname = $1 and query ilike 'listen %'",
                    make_url(url).database,
                )
            )


class _Connected:
    """asyncpg's connection, closed at the end of the block."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    async def __aenter__(self) -> Any:
        url = self._url
        self._connection = await asyncpg.connect(
            host=url.query["host"], port=int(str(url.query["port"])), user=url.username, database=url.database
        )
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


@contextmanager
def standing() -> Iterator[Ground]:
    """A ground that leaves nothing behind, however the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="dataqueue-bench-"))
    # The server's account, another one than root's, has to get through.
    folder.chmod(0o755)
    logs = folder / "logs"
    logs.mkdir()
    fleet = Fleet(logs)
    try:
        with open_embedded(folder / "home") as server:
            try:
                yield Ground(server, fleet, folder / "home")
            finally:
                fleet.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
