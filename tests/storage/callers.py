"""Connections as people have them, each in a transaction of its owner's that a test ends."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import psycopg
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from dataqueue.domain.job import Enqueued, NewJob
from dataqueue.storage.port import JobStore


@dataclass(frozen=True)
class Caller:
    """Somebody with a connection. `ends`: what `commit` and `rollback` are called on."""

    connection: Any
    ends: Any
    is_sync: bool = False

    async def enqueue(self, jobs: JobStore, *wanted: NewJob) -> list[Enqueued]:
        if self.is_sync:
            return jobs.enqueue_within_sync(self.connection, wanted)
        return await jobs.enqueue_within(self.connection, wanted)

    async def execute(self, statement: str) -> None:
        """A statement of the owner's own, in the same transaction."""
        plain = not type(self.connection).__module__.startswith("sqlalchemy")
        done = self.connection.execute(statement if plain else text(statement))
        if inspect.isawaitable(done):
            await done

    async def begin(self) -> None:
        """Another transaction; most kinds do that by themselves."""
        if isinstance(self.ends, _ByHand):
            await self.execute("begin")

    async def commit(self) -> None:
        await self._end("commit")

    async def rollback(self) -> None:
        await self._end("rollback")

    async def _end(self, how: str) -> None:
        done = getattr(self.ends, how)()
        if inspect.isawaitable(done):
            await done


def conninfo_url(url: str) -> str:
    """As the drivers take it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@dataclass(frozen=True)
class _ByHand:
    """The transaction of a connection that has no methods to end it."""

    connection: Any

    async def commit(self) -> None:
        await self.connection.execute("commit")

    async def rollback(self) -> None:
        await self.connection.execute("rollback")


@asynccontextmanager
async def _asyncpg(url: str) -> AsyncIterator[Caller]:
    connection = await asyncpg.connect(conninfo_url(url))
    await connection.execute("begin")
    try:
        yield Caller(connection, _ByHand(connection))
    finally:
        await connection.close()


@asynccontextmanager
async def _asyncpg_of_a_pool(url: str) -> AsyncIterator[Caller]:
    async with asyncpg.create_pool(conninfo_url(url), min_size=1, max_size=1) as pool, pool.acquire() as connection:
        await connection.execute("begin")
        yield Caller(connection, _ByHand(connection))


@asynccontextmanager
async def _async_connection(url: str, driver: str = "postgresql+asyncpg") -> AsyncIterator[Caller]:
    engine = create_async_engine(make_url(url).set(drivername=driver), poolclass=NullPool)
    async with engine.connect() as connection:
        yield Caller(connection, connection)


@asynccontextmanager
async def _async_session(url: str) -> AsyncIterator[Caller]:
    async with AsyncSession(create_async_engine(url, poolclass=NullPool)) as session:
        yield Caller(session, session)


@asynccontextmanager
async def _async_scoped_session(url: str) -> AsyncIterator[Caller]:
    make = async_sessionmaker(create_async_engine(url, poolclass=NullPool))
    session = async_scoped_session(make, scopefunc=lambda: None)
    yield Caller(session, session)
    await session.remove()


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Caller]:
    with create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool).connect() as connection:
        yield Caller(connection, connection, is_sync=True)


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[Caller]:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with Session(engine) as session:
        yield Caller(session, session, is_sync=True)


@asynccontextmanager
async def _scoped_session(url: str) -> AsyncIterator[Caller]:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    session = scoped_session(sessionmaker(engine))
    yield Caller(session, session, is_sync=True)
    session.remove()


@asynccontextmanager
async def _psycopg(url: str) -> AsyncIterator[Caller]:
    with psycopg.connect(conninfo_url(url)) as connection:
        yield Caller(connection, connection, is_sync=True)


@asynccontextmanager
async def _async_psycopg(url: str) -> AsyncIterator[Caller]:
    async with await psycopg.AsyncConnection.connect(conninfo_url(url)) as connection:
        yield Caller(connection, connection)


@asynccontextmanager
async def _session_of_an_async_method(url: str) -> AsyncIterator[Caller]:
    async with _session(url) as caller:
        yield Caller(caller.connection, caller.ends)


@asynccontextmanager
async def _async_psycopg_of_sqlalchemy(url: str) -> AsyncIterator[Caller]:
    async with _async_connection(url, "postgresql+psycopg") as caller:
        yield caller


KINDS: Final[dict[str, Callable[[str], AbstractAsyncContextManager[Caller]]]] = {
    "asyncpg": _asyncpg,
    "asyncpg of a pool": _asyncpg_of_a_pool,
    "AsyncConnection": _async_connection,
    "AsyncConnection of psycopg": _async_psycopg_of_sqlalchemy,
    "AsyncSession": _async_session,
    "async_scoped_session": _async_scoped_session,
    "Connection": _connection,
    "Session": _session,
    "Session in an async method": _session_of_an_async_method,
    "scoped_session": _scoped_session,
    "psycopg": _psycopg,
    "psycopg AsyncConnection": _async_psycopg,
}
NAMES: Final[Sequence[str]] = tuple(KINDS)
