"""A Redis that refuses what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import hiredis


class Refusing:
    """Answers every script with an error, and counts them."""

    def __init__(self, error: str) -> None:
        self._error = error
        self.scripts = 0

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await client.read(65536):
            commands.feed(data)
            while command := commands.gets():
                is_script = command[0].startswith(b"EVAL")
                self.scripts += is_script
                to_client.write(f"-{self._error}\r\n".encode() if is_script else b"+OK\r\n")
        to_client.close()
        with suppress(OSError):
            await to_client.wait_closed()


@asynccontextmanager
async def refusing(error: str, folder: Path) -> AsyncIterator[tuple[Refusing, str]]:
    """One, and its URL, until all have hung up."""
    one, path = Refusing(error), folder / "refusing.sock"
    served: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.create_task(one.serve(reader, writer)))

    async with await asyncio.start_unix_server(connected, path):
        yield one, f"unix://{path}"
        await asyncio.gather(*served)
