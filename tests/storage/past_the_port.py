"""What no method of the port does, on either backend: somebody else at the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.engine import make_url

from dataqueue.storage.backend import Backend, backend_of
from tests.storage.raw import connected

_API_KEYS = "{dq}:keys"


async def all_that_is_kept(url: str) -> str:
    """Every value in the storage, as text."""
    if backend_of(url) is Backend.REDIS:
        async with Redis.from_url(url) as client:
            return str([await client.dump(key) for key in await client.keys()])
    tables = "select format('select t::text from %I.%I t', schemaname, tablename) from pg_tables where schemaname = $1"
    async with connected(url) as connection:
        statements = [row[0] for row in await connection.fetch(tables, "dataqueue")]
        assert statements
        return str([row[0] for statement in statements for row in await connection.fetch(statement)])


async def revoke(url: str, digest: bytes) -> None:
    """An API key is one no more."""
    if backend_of(url) is Backend.REDIS:
        async with Redis.from_url(url) as client:
            assert await client.execute_command("HDEL", _API_KEYS, digest.hex()) == 1  # type: ignore[no-untyped-call]
        return
    async with connected(url) as connection:
        assert await connection.execute("delete from dataqueue.api_key where digest = $1", digest) == "DELETE 1"


@asynccontextmanager
async def away(url: str) -> AsyncIterator[None]:
    """While the block runs nobody is connected to the storage, and nobody can connect."""
    async with (_redis_away if backend_of(url) is Backend.REDIS else _postgres_away)(url):
        yield


@asynccontextmanager
async def _redis_away(url: str) -> AsyncIterator[None]:
    client: Any = Redis.from_url(url, single_connection_client=True)
    async with client:
        most = (await client.config_get("maxclients"))["maxclients"]
        await client.config_set("maxclients", 1)
        for kind in ("normal", "pubsub"):
            await client.client_kill_filter(_type=kind, skipme=True)
        yield
        await client.config_set("maxclients", most)


@asynccontextmanager
async def _postgres_away(url: str) -> AsyncIterator[None]:
    parsed = make_url(url)
    elsewhere = parsed.set(database="postgres").render_as_string(hide_password=False)
    async with connected(elsewhere) as connection:
        await connection.execute(f'alter database "{parsed.database}" with allow_connections false')
        ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1"
        assert await connection.fetchval(ended, parsed.database)
        yield
        await connection.execute(f'alter database "{parsed.database}" with allow_connections true')
