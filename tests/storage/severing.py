"""A connection that can be cut at the worst moment, or fall silent.

The worst moment: after the server has done what was asked, before it says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from dataqueue.storage.backend import Backend, backend_of
from tests.storage import postgres_link, redis_link
from tests.storage.links import Link
from tests.storage.postgres_link import PostgresLink
from tests.storage.redis_link import RedisLink


class Severing:
    """Carries a server's protocol both ways. `cut_when` arms it for the next execution of a statement.

    A statement is known by its text on PostgreSQL, by the name of its script on Redis.
    """

    def __init__(self, url: str, folder: Path) -> None:
        is_redis = backend_of(url) is Backend.REDIS
        self._link: Callable[..., Link] = RedisLink if is_redis else PostgresLink
        self._server_socket = (redis_link if is_redis else postgres_link).socket_of(url)
        self.path, self.url = (redis_link if is_redis else postgres_link).through(url, folder)
        self._armed: str | None = None
        self._spared = 0
        self._links: set[Link] = set()
        self.cuts = 0

    def cut_when(self, words: str, *, sparing: int = 0) -> None:
        """Let the server execute the next statement that holds `words`, then swallow its answer and hang up.

        `sparing`: so many of them pass before.
        """
        self._armed, self._spared = words, sparing

    def fall_silent(self) -> int:
        """Carry nothing more over the connections there are, and hang up on nobody; says how many there are."""
        for link in self._links:
            link.is_silent = True
        return len(self._links)

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(str(self._server_socket))
        link: Link = self._link(self, client, to_client, server, to_server)
        self._links.add(link)
        try:
            await _first_of(link.forwards(), link.backwards())
        finally:
            self._links.discard(link)
            to_client.close()
            to_server.close()
            for writer in (to_client, to_server):
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    def takes(self, statement: str) -> bool:
        if self._armed is None or self._armed not in statement:
            return False
        if self._spared:
            self._spared -= 1
            return False
        self._armed = None
        self.cuts += 1
        return True

    def missed(self, statement: str) -> None:
        self._armed = statement
        self.cuts -= 1


async def _first_of(*acts: Awaitable[None]) -> None:
    """Until one of them has ended, however it did."""
    tasks = [asyncio.ensure_future(act) for act in acts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def severable(url: str, folder: Path) -> AsyncIterator[tuple[Severing, str]]:
    """A severable way to the server of `url`, and the URL that goes there."""
    severing = Severing(url, folder)
    served: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.create_task(severing.serve(reader, writer)))

    async with await asyncio.start_unix_server(connected, str(severing.path)):
        try:
            yield severing, severing.url
        finally:
            for task in served:
                task.cancel()
            await asyncio.gather(*served, return_exceptions=True)
