"""Connections, and the running of one statement."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Row, TextClause
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from dataqueue.clock import Clock
from dataqueue.storage.postgres.errors import translated
from dataqueue.storage.postgres.statements import statement

_CONNECT_TIMEOUT: Final = 1.5
_COMMAND_TIMEOUT: Final = 15.0
_WAIT_FOR_CONNECTION: Final = 1.5


def async_url(url: str) -> str:
    """The URL as our driver wants it: `postgres://` and `postgresql://` are the same to a user."""
    return re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", url)


def make_engine(url: str, *, pool_size: int) -> AsyncEngine:
    """An engine that connects when first used, and gives up on a database that is gone in under two seconds."""
    return create_async_engine(
        make_url(async_url(url)),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_WAIT_FOR_CONNECTION,
        json_deserializer=str,  # JSON stays the text it came as
        connect_args={"timeout": _CONNECT_TIMEOUT, "command_timeout": _COMMAND_TIMEOUT},
    )


class Database:
    """Runs our statements. One statement is one round trip and one transaction unless `transaction` says otherwise."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self.engine, self._clock = engine, clock
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def run(self, verb: str, /, **parameters: object) -> Sequence[Row[Any]]:
        """One statement, committed when this returns; StorageUnavailable when that is not certain."""
        with translated():
            async with self._single.connect() as connection:
                return await self.run_on(connection, verb, **parameters)

    async def run_on(self, connection: AsyncConnection, verb: str, /, **parameters: object) -> Sequence[Row[Any]]:
        """One statement inside a transaction that somebody else ends."""
        sql = statement(verb)
        if "at" in sql._bindparams:
            parameters["at"] = self._clock.now()
        result = await connection.execute(sql, parameters)
        return result.all() if result.returns_rows else ()

    async def select(self, query: TextClause, **parameters: object) -> Sequence[Row[Any]]:
        """A query put together for a filter."""
        with translated():
            async with self._single.connect() as connection:
                return (await connection.execute(query, parameters)).all()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Several statements as one act."""
        with translated():
            async with self.engine.begin() as connection:
                yield connection
