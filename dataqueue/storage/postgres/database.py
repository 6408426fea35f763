"""The pool, and the running of one statement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from dataqueue.clock import Clock
from dataqueue.storage.answers import Pool
from dataqueue.storage.postgres.connecting import CONNECT_TIMEOUT, Row, make_pool
from dataqueue.storage.postgres.errors import translated
from dataqueue.storage.postgres.statements import Statement, statement

_LONGEST_GOODBYE: Final = 5.0


class Database:
    """Runs our statements. One statement is one round trip and one transaction unless `transaction` says otherwise."""

    def __init__(self, url: str, *, pool_size: int, patience: float, clock: Clock) -> None:
        self._url, self._pool_size, self._patience, self._clock = url, pool_size, patience, clock
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def run(self, verb: str, /, **parameters: object) -> list[Row]:
        """The statement `sql/<verb>.sql`, committed when this returns; StorageUnavailable when that is not certain."""
        async with self._connection() as connection:
            return await self.run_on(connection, verb, **parameters)

    async def run_on(self, connection: asyncpg.Connection, verb: str, /, **parameters: object) -> list[Row]:
        """One statement inside a transaction that somebody else ends."""
        return await self._fetch(connection, statement(verb), parameters)

    async def select(self, query: Statement, **parameters: object) -> list[Row]:
        """A query put together for a filter."""
        async with self._connection() as connection:
            return await self.select_on(connection, query, **parameters)

    async def select_on(self, connection: asyncpg.Connection, query: Statement, **parameters: object) -> list[Row]:
        """Such a query inside a transaction that somebody else ends."""
        return await self._fetch(connection, query, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Several statements as one act."""
        async with self._connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        """Several queries that see the same."""
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @property
    def connections(self) -> Pool:
        """How many there are."""
        if self._pool is None:
            return Pool(used=0, idle=0, most=self._pool_size)
        idle = self._pool.get_idle_size()
        return Pool(used=max(0, self._pool.get_size() - idle), idle=idle, most=self._pool_size)

    async def close(self) -> None:
        """Close the connections; those still in use after 5 s are cut."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(_LONGEST_GOODBYE):
                await self._pool.close()
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError):
            self._pool.terminate()

    async def _fetch(
        self, connection: asyncpg.Connection, prepared: Statement, parameters: dict[str, object]
    ) -> list[Row]:
        if "at" in prepared.names:
            parameters["at"] = self._clock.now()
        rows: list[Row] = await connection.fetch(prepared.sql, *[parameters[name] for name in prepared.names])
        return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        with translated(ran=False):
            pool = self._pool or await self._open()
            connection = await pool.acquire(timeout=CONNECT_TIMEOUT)
        with translated():
            try:
                yield connection
            except asyncpg.ReadOnlySQLTransactionError:
                connection.terminate()  # a former primary: the next connection may find the new one
                raise
            finally:
                # A connection that cannot be taken back is closed by the pool. That is no outcome of the statement, and
                # must not hide that its caller was cancelled.
                with suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await pool.release(connection)

    async def _open(self) -> asyncpg.Pool:
        """The pool, made by whoever needs it first: it belongs to the event loop it is used on."""
        async with self._opening:
            if self._pool is None:
                self._pool = await make_pool(self._url, size=self._pool_size, patience=self._patience)
            return self._pool
