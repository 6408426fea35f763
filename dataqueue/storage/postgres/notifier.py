"""Hints over LISTEN and NOTIFY, which has a statement of its own: in a hot one it would serialise commits."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import asyncpg
import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from dataqueue.errors import DataQueueError
from dataqueue.storage.port import Hint
from dataqueue.storage.postgres.database import async_url
from dataqueue.storage.postgres.errors import translated

_CHANNEL: Final = "dataqueue"
_LONGEST: Final = 7900  # of 7,999 bytes; beyond it the names are left out, which means "some"
_MOST_WAITING: Final = 1000
_NOTIFY: Final = text("select pg_notify(:channel, :hint)")
_LONGEST_PAUSE: Final = 5.0

log = structlog.get_logger(__name__)


class PostgresNotifier:
    """See `storage.port.Notifier`. Listens on a direct connection: a transaction pooler would lose it."""

    def __init__(self, engine: AsyncEngine, listen_url: str) -> None:
        self._engine, self._listen_url = engine, listen_url

    async def publish(self, hint: Hint) -> None:
        packed = _packed(hint)
        try:
            with translated():
                async with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                    await connection.execute(_NOTIFY, {"channel": _CHANNEL, "hint": packed})
        except DataQueueError as error:
            log.debug("hint_lost", kind=hint.kind, error=str(error))

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[Hint]]:
        arrived: asyncio.Queue[Hint] = asyncio.Queue(_MOST_WAITING)
        listening = asyncio.create_task(self._stay_connected(arrived))
        try:
            yield _each(arrived)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _stay_connected(self, arrived: asyncio.Queue[Hint]) -> None:
        def on_notify(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            with contextlib.suppress(asyncio.QueueFull):  # whoever is that far behind polls anyway
                arrived.put_nowait(_unpacked(cast(str, payload)))

        pause = 0.1
        while True:
            try:
                connection = await asyncpg.connect(**_connect_arguments(self._listen_url), timeout=5)
                try:
                    gone = asyncio.Event()
                    connection.add_termination_listener(lambda _: gone.set())  # noqa: B023
                    await connection.add_listener(_CHANNEL, on_notify)
                    pause = 0.1
                    await gone.wait()
                finally:
                    connection.terminate()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.debug("listen_failed", error=type(error).__name__)
            await asyncio.sleep(random.uniform(0.05, pause))
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _each(arrived: asyncio.Queue[Hint]) -> AsyncIterator[Hint]:
    while True:
        yield await arrived.get()


def _packed(hint: Hint) -> str:
    whole = orjson.dumps([hint.kind, hint.namespace, hint.names])
    return (whole if len(whole) <= _LONGEST else orjson.dumps([hint.kind, hint.namespace, ()])).decode()


def _unpacked(payload: str) -> Hint:
    kind, namespace, names = orjson.loads(payload)
    return Hint(kind, namespace, tuple(names))


def _connect_arguments(url: str) -> dict[str, Any]:
    """What asyncpg takes, from a URL that SQLAlchemy takes: sockets named by `?host=…&port=…` as well."""
    parsed = make_url(async_url(url))
    host, port = parsed.query.get("host", parsed.host), parsed.query.get("port", parsed.port)
    return {
        "host": host,
        "port": None if port is None else int(str(port)),
        "user": parsed.username,
        "password": parsed.password,
        "database": parsed.database,
    }
