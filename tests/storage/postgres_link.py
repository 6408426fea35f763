"""PostgreSQL's protocol, as far as a connection that can be cut has to understand it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from tests.storage.links import Cuts

_READY_FOR_QUERY: Final = b"Z"
_SOCKET: Final = ".s.PGSQL.5432"


def socket_of(url: str) -> Path:
    """Where the server of the URL listens."""
    return Path(str(make_url(url).query["host"])) / _SOCKET


def through(url: str, folder: Path) -> tuple[Path, str]:
    """The socket in a folder that stands in for the server of `url`, and the URL that goes there."""
    changed = make_url(url).update_query_dict({"host": str(folder), "port": "5432"})
    return folder / _SOCKET, changed.render_as_string(hide_password=False)


class PostgresLink:
    """One client's connection. A statement is known by its text."""

    def __init__(
        self,
        cuts: Cuts,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._cuts = cuts
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
            if self._cuts.takes(self._executed_by(kind, body)):
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
