"""Receivers of every kind, on real sockets: each does to a connection what its name says, and stops with its block."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

Behaviour = Callable[["Receiver", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK: Final = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"ok":true}'


class Receiver:
    """What it was sent, and over how many connections."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.stopping = asyncio.Event()
        self._behaviour = behaviour
        self._changed = asyncio.Condition()

    def url(self, host: str = "127.0.0.1", scheme: str = "http", path: str = "/hook") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def until(self, holds: Callable[[Receiver], bool]) -> None:
        """Wait until that is so."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: holds(self))

    async def request(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next request on a connection, or None at its end."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            return None
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        body = await reader.readexactly(int(length.split(b":")[1]))
        self.requests.append(head + body)
        return head + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._count(1)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._behaviour(self, reader, writer)
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            await self._count(-1)

    async def _count(self, more: int) -> None:
        self.connections += max(more, 0)
        self.open += more
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def receiver(
    behaviour: Behaviour, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    one = Receiver(behaviour)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(one.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, port, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        one.stopping.set()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def answering(answer: bytes = OK) -> Behaviour:
    """Answers every request on a connection with the same bytes."""

    async def behave(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await one.request(reader) is not None:
            writer.write(answer)
            await writer.drain()

    return behave


def answering_and_closing(answer: bytes) -> Behaviour:
    """Answers once, and ends its half of the connection."""

    async def behave(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one.request(reader)
        writer.write(answer)
        writer.write_eof()
        await reader.read()

    return behave


def pouring(head: bytes, part: bytes) -> Behaviour:
    """Sends as much as it is let, without end."""

    async def behave(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one.request(reader)
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()

    return behave


def dripping(start: bytes, drop: bytes, *, every: float) -> Behaviour:
    """Sends a little, again and again: never silent, never ready."""

    async def behave(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one.request(reader)
        writer.write(start)
        while not one.stopping.is_set():
            writer.write(drop)
            await writer.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(one.stopping.wait(), every)

    return behave


async def silent(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and says nothing."""
    await reader.read()


async def hanging_up(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads the request and closes."""
    await one.request(reader)


async def resetting(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads the request and drops the connection."""
    await one.request(reader)
    writer.transport.abort()
