"""Hints over LISTEN and NOTIFY, which has a statement of its own: in a hot one it would serialise commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final, cast

import asyncpg
import structlog

from dataqueue.errors import DataQueueError
from dataqueue.storage.listening import SILENCE, Say, listening, packed, unpacked
from dataqueue.storage.port import LISTENING, Hint
from dataqueue.storage.postgres.connecting import connect
from dataqueue.storage.postgres.database import Database

_CHANNEL: Final = "dataqueue"
_LONGEST: Final = 7900  # of 7,999 bytes
_CONNECT_TIMEOUT: Final = 5.0
_BROKEN: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = structlog.get_logger(__name__)


class PostgresNotifier:
    """See `storage.port.Notifier`. Listens on a direct connection: a transaction pooler would lose it."""

    def __init__(self, database: Database, listen_url: str) -> None:
        self._database, self._listen_url = database, listen_url

    async def publish(self, hint: Hint) -> None:
        try:
            await self._database.run("hints/publish", channel=_CHANNEL, hint=packed(hint, longest=_LONGEST))
        except DataQueueError as error:
            log.debug("hint_lost", kind=hint.kind, error=str(error))

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Hint]]:
        return listening(self._hear, broken=_BROKEN)

    async def _hear(self, say: Say) -> None:
        def on_notify(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            say(unpacked(cast(str, payload)))

        connection = await connect(self._listen_url, timeout=_CONNECT_TIMEOUT)
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(_CHANNEL, on_notify)
            say(LISTENING)
            while not await _happens(gone, within=SILENCE):
                await connection.execute("select 1", timeout=_CONNECT_TIMEOUT)
        finally:
            connection.terminate()


async def _happens(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False
