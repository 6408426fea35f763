"""Redis's protocol, as far as a connection that can be cut has to understand it."""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dataqueue.storage.redis.scripts import script
from tests.storage.links import Cuts

_LUA: Final = files("dataqueue.storage.redis") / "lua"
_SOCKET: Final = "redis.sock"
_UNKNOWN: Final = b"-NOSCRIPT"


def socket_of(url: str) -> Path:
    """Where the server of the URL listens."""
    return Path(urlsplit(url).path)


def through(url: str, folder: Path) -> tuple[Path, str]:
    """The socket in a folder that stands in for the server of `url`, and the URL that goes there."""
    path = folder / _SOCKET
    return path, f"unix://{path}?{urlsplit(url).query}"


@cache
def scripts() -> dict[str, str]:
    """The name of each script, as `jobs/claim`, by its hash."""
    root = Path(str(_LUA))
    names = [path.relative_to(root).with_suffix("").as_posix() for path in root.glob("*/*.lua")]
    return {script(name).sha: name for name in names if not name.startswith("lib/")}


class RedisLink:
    """One client's connection. A script is known by its name, another command by its first word."""

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
        self._cut_after = ""
        self.is_silent = False

    async def forwards(self) -> None:
        while True:
            sent, words = await _command(self._client)
            if self.is_silent:
                continue
            statement = _statement(words)
            if self._cuts.takes(statement):
                self._cut_after = statement
            self._to_server.write(sent)
            await self._to_server.drain()

    async def backwards(self) -> None:
        while answer := await self._server.read(1 << 16):
            if self.is_silent:
                continue
            if self._cut_after:
                if not answer.startswith(_UNKNOWN):
                    return
                # Nothing has been done yet: the client sends the script itself now.
                self._cuts.missed(self._cut_after)
                self._cut_after = ""
            self._to_client.write(answer)
            await self._to_client.drain()


def _statement(words: list[bytes]) -> str:
    match words[0].upper():
        case b"EVALSHA":
            return scripts().get(words[1].decode(), "")
        case b"EVAL":
            return scripts().get(hashlib.sha1(words[1], usedforsecurity=False).hexdigest(), "")
    return words[0].decode().upper()


async def _command(reader: asyncio.StreamReader) -> tuple[bytes, list[bytes]]:
    """A command as it was sent, and its words."""
    head = await reader.readuntil(b"\r\n")
    sent, words = head, []
    for _ in range(int(head[1:])):
        length = await reader.readuntil(b"\r\n")
        word = await reader.readexactly(int(length[1:]) + 2)
        sent += length + word
        words.append(word[:-2])
    return sent, words
