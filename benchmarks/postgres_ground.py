"""A PostgreSQL of our own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
from sqlalchemy.engine import make_url

from benchmarks.ground import Ground, Recorded
from benchmarks.processes import Fleet, cpu_seconds
from dataqueue.storage.embedded import EmbeddedPostgres
from dataqueue.storage.opening import migrate


class PostgresGround(Ground):
    """A database for each place."""

    name: ClassVar[str] = "PostgreSQL"
    wake_up: ClassVar[str] = "NOTIFY"

    def __init__(self, server: EmbeddedPostgres, fleet: Fleet, home: Path) -> None:
        super().__init__(fleet)
        self._server, self._home = server, home
        self._databases = 0

    async def database(self, *, migrated: bool = True) -> str:
        """With our schema in it unless said otherwise."""
        self._databases += 1
        name = f"bench_{self._databases}"
        async with self.connected("postgres") as connection:
            await connection.execute(f"create database {name}")
        url = self._server.url_for(name)
        if migrated:
            await migrate(url)
        return url

    async def drop(self, url: str) -> None:
        """Its share of the cache, too."""
        async with self.connected("postgres") as connection:
            await connection.execute(f"drop database {make_url(url).database} with (force)")

    def connected(self, url: str) -> _Connected:
        """A connection by URL, or by the name of a database."""
        return _Connected(url if "://" in url else self._server.url_for(url))

    async def settle(self, url: str) -> None:
        """Statistics are there, and no checkpoint is due."""
        async with self.connected(url) as connection:
            await connection.execute("vacuum analyze")
            await connection.execute("checkpoint")

    async def trips(self, url: str) -> int:
        """Transactions, each a round trip or more, of the sessions that have told; asked from another database."""
        return int(
            await self._postgres(
                "select xact_commit + xact_rollback from pg_stat_database where datname = $1",
                make_url(url).database,
            )
        )

    @asynccontextmanager
    async def watching(self, url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        # One transaction, so that looking does not count: sequences show what is committed and what is not.
        async with self.connected(url) as connection, connection.transaction():

            async def events() -> int:
                return int(await connection.fetchval("select last_value from dataqueue.event_id_seq"))

            yield events

    async def recorded(self, url: str) -> Recorded:
        async with self.connected(url) as connection:
            found = await connection.fetchrow(
                "select count(*), extract(epoch from max(ended_at) - min(started_at))::float8,"
                " (select count(*) from dataqueue.event) from dataqueue.job where status = 'completed'"
            )
        return Recorded(*found)

    @asynccontextmanager
    async def snapshot_of(self, url: str) -> AsyncIterator[None]:
        """A repeatable read transaction that has read something, as pg_dump's."""
        async with self.connected(url) as connection, connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("select count(*) from dataqueue.job")
            yield

    def server_cpu(self) -> float:
        """Of all of its sessions, too."""
        [pid_file] = self._home.glob("pg*/postmaster.pid")
        return cpu_seconds(int(pid_file.read_text().split("\n", 1)[0]))

    @asynccontextmanager
    async def wakes(self, url: str) -> AsyncIterator[Callable[[], Awaitable[float]]]:
        heard: asyncio.Queue[int] = asyncio.Queue()
        async with self.connected(url) as listening, self.connected(url) as notifying:
            await listening.add_listener("bench", lambda *_: heard.put_nowait(time.monotonic_ns()))

            async def wake() -> float:
                sent = time.monotonic_ns()
                await notifying.execute("select pg_notify('bench', '')")
                return (await heard.get() - sent) / 1e6

            yield wake

    async def listeners(self, url: str) -> int:
        return int(
            await self._postgres(
                "select count(*) from pg_stat_activity where datname = $1 and query ilike 'listen %'",
                make_url(url).database,
            )
        )

    async def _postgres(self, sql: str, *arguments: object) -> Any:
        async with self.connected("postgres") as connection:
            return await connection.fetchval(sql, *arguments)


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
