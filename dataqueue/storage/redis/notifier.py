"""Hints over PUBLISH and SUBSCRIBE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final

import structlog
from redis.exceptions import RedisClusterException, RedisError

from dataqueue.errors import DataQueueError
from dataqueue.storage.listening import SILENCE, Say, listening, packed, unpacked
from dataqueue.storage.port import LISTENING, Hint
from dataqueue.storage.redis.connecting import check, database_of
from dataqueue.storage.redis.connections import connections_of
from dataqueue.storage.redis.server import Server

_LONGEST: Final = 8000
_ANSWER_TIMEOUT: Final = 5.0
_BROKEN: Final = (OSError, RedisError, RedisClusterException)

log = structlog.get_logger(__name__)


class RedisNotifier:
    """See `storage.port.Notifier`. In a cluster any node hears what is said at any other."""

    def __init__(self, server: Server, url: str, listen_url: str | None) -> None:
        check(listen_url or url)
        self._server, self._listen_url = server, listen_url or url
        # The databases of a server share their channels.
        self._channel = f"dataqueue:{database_of(url)}"

    async def publish(self, hint: Hint) -> None:
        try:
            await self._server.run("hints/publish", hint.namespace, self._channel, packed(hint, longest=_LONGEST))
        except DataQueueError as error:
            log.debug("hint_lost", kind=hint.kind, error=str(error))

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Hint]]:
        return listening(self._hear, broken=_BROKEN)

    async def _hear(self, say: Say) -> None:
        connections = connections_of(self._listen_url, size=1)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                connection = await connections.another()
            await self._hear_on(connection, say)
        finally:
            await connections.close()

    async def _hear_on(self, connection: Any, say: Say) -> None:
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                await connection.connect()
                await connection.send_command("SUBSCRIBE", self._channel)
                await connection.read_response()
            say(LISTENING)
            while True:
                if (told := await _next(connection)) is not None:
                    # The channel is open to all who use the server: what is no hint of ours is passed over.
                    with suppress(TypeError, ValueError):
                        say(unpacked(told))
        finally:
            await connection.disconnect(nowait=True)


async def _next(connection: Any) -> str | None:
    """The next message; None for another word from the server, for which it is asked after a silence."""
    heard: Any = await connection.read_response(timeout=SILENCE)
    if heard is None:
        await connection.send_command("PING")
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            heard = await connection.read_response()
    return str(heard[2]) if heard[0] == "message" else None
