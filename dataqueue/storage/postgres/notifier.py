"""Hints over LISTEN and NOTIFY, which has a statement of its own: in a hot one it would serialise commits."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

import asyncpg
import orjson
import structlog

from dataqueue.errors import DataQueueError
from dataqueue.storage.port import LISTENING, Hint
from dataqueue.storage.postgres.connecting import connect
from dataqueue.storage.postgres.database import Database

_CHANNEL: Final = "dataqueue"
_LONGEST: Final = 7900  # of 7,999 bytes; beyond it the names are left out, which means "some"
_MOST_WAITING: Final = 1000
_LONGEST_PAUSE: Final = 5.0
_SILENCE: Final = 15.0  # then we ask: a balancer may have dropped the connection without a word
_CONNECT_TIMEOUT: Final = 5.0

log = structlog.get_logger(__name__)


class PostgresNotifier:
    """See `storage.port.Notifier`. Listens on a direct connection: a transaction pooler would lose it."""

    def __init__(self, database: Database, listen_url: str) -> None:
        self._database, self._listen_url = database, listen_url

    async def publish(self, hint: Hint) -> None:
        try:
            await self._database.run("hints/publish", channel=_CHANNEL, hint=_packed(hint))
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
                connection = await connect(self._listen_url, timeout=_CONNECT_TIMEOUT)
                try:
                    gone = asyncio.Event()
                    connection.add_termination_listener(lambda _: gone.set())  # noqa: B023
                    await connection.add_listener(_CHANNEL, on_notify)
                    with contextlib.suppress(asyncio.QueueFull):
                        arrived.put_nowait(LISTENING)
                    pause = 0.1
                    while not await _happens(gone, within=_SILENCE):
                        await connection.execute("select 1", timeout=_CONNECT_TIMEOUT)
                finally:
                    connection.terminate()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.debug("listen_failed", error=type(error).__name__)
            await asyncio.sleep(random.uniform(0.05, pause))
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _happens(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False


async def _each(arrived: asyncio.Queue[Hint]) -> AsyncIterator[Hint]:
    while True:
        yield await arrived.get()


def _packed(hint: Hint) -> str:
    whole = orjson.dumps([hint.kind, hint.namespace, hint.names])
    return (whole if len(whole) <= _LONGEST else orjson.dumps([hint.kind, hint.namespace, ()])).decode()


def _unpacked(payload: str) -> Hint:
    kind, namespace, names = orjson.loads(payload)
    return Hint(kind, namespace, tuple(names))
