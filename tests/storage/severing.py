"""A connection that can be cut at the worst moment, or fall silent.

The worst moment: after the server has done what was asked, before it says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

_READY_FOR_QUERY: Final = b"Z"


class Severing:
    """Carries PostgreSQL's protocol both ways. `cut_when` arms it for the next execution of a statement."""

    def __init__(self, server_socket: Path) -> None:
        self._server_socket = server_socket
        self._armed: str | None = None
        self._spared = 0
        self._links: set[_Link] = set()
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
        link = _Link(self, client, to_client, server, to_server)
        self._links.add(link)
        await _first_of(link.forwards(), link.backwards())
        self._links.discard(link)
        for writer in (to_client, to_server):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def takes(self, statement: str) -> bool:
        """Whether this is the statement to cut after; it is asked once."""
        if self._armed is None or self._armed not in statement:
            return False
        if self._spared:
            self._spared -= 1
            return False
        self._armed = None
        self.cuts += 1
        return True


class _Link:
    """One client's connection."""

    def __init__(
        self,
        severing: Severing,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._severing = severing
        self._client, self._to_client, self._server, self._to_server = client, to_client, server, to_server
        self._prepared: dict[bytes, str] = {}
        self._bound = ""
        self._is_swallowing = False
        self.is_silent = False

    async def forwards(self) -> None:
        self._to_server.write(await _untyped(self._client))  # the start-up message has no type
        while True:
            kind, body = await _typed(self._client)
            if self.is_silent:
                continue
            if self._severing.takes(self._executed_by(kind, body)):
                self._is_swallowing = True
            self._to_server.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
            await self._to_server.drain()

    async def backwards(self) -> None:
        while True:
            kind, body = await _typed(self._server)
            if self.is_silent:
                continue
            if self._is_swallowing:
                if kind == _READY_FOR_QUERY:
                    return
                continue
            self._to_client.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
            await self._to_client.drain()

    def _executed_by(self, kind: bytes, body: bytes) -> str:
        """The text of the statement that a message executes; empty when it executes none."""
        match kind:
            case b"Q":
                return body.decode()
            case b"P":
                name, query, _ = body.split(b"\0", 2)
                self._prepared[name] = query.decode()
            case b"B":
                self._bound = self._prepared.get(body.split(b"\0", 2)[1], "")
            case b"E":
                return self._bound
        return ""


async def _untyped(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "big") - 4)


async def _typed(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    return kind, (await _untyped(reader))[4:]


async def _first_of(*acts: Awaitable[None]) -> None:
    """Until one of them has ended, however it did."""
    tasks = [asyncio.ensure_future(act) for act in acts]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def severable(url: str, folder: Path) -> AsyncIterator[tuple[Severing, str]]:
    """A severable way to the server of `url`, and the URL that goes there."""
    parsed = make_url(url)
    name = ".s.PGSQL.5432"
    severing = Severing(Path(str(parsed.query["host"])) / name)
    served: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.create_task(severing.serve(reader, writer)))

    async with await asyncio.start_unix_server(connected, str(folder / name)):
        try:
            through = parsed.update_query_dict({"host": str(folder), "port": "5432"})
            yield severing, through.render_as_string(hide_password=False)
        finally:
            for task in served:
                task.cancel()
            await asyncio.gather(*served, return_exceptions=True)
