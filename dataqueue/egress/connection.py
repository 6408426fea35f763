"""A connection to one address: made to it and to no other, and used for one call at a time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from dataqueue.egress.addresses import Address, address_of
from dataqueue.egress.errors import BrokenAnswer, CallFailed, ConnectFailed, TimedOut
from dataqueue.egress.reading import AnswerReader
from dataqueue.egress.urls import Target

# Of an answer's body, before the receiver is kept waiting.
_MOST_WAITING: Final = 256 * 1024
_LOST: Final = "the connection was lost before the answer was complete"


class Connection(asyncio.Protocol):
    """Sends a request and feeds its answer to a reader, until that is whole, fails, or the deadline has come."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.made_at = asyncio.get_running_loop().time()
        # Called once, when it is closed while nobody is calling.
        self.when_gone: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._failure: CallFailed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = self._closed = False

    @property
    def is_open(self) -> bool:
        return not self._closed

    def send(self, request: bytes, reader: AnswerReader, *, deadline: float) -> None:
        """Begin a call, which fails at that instant of the loop's clock however much has come until then."""
        self._reader, self._failure = reader, None
        if self._transport is None or self._closed:
            self._failure = BrokenAnswer(_LOST)
            return
        self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)
        self._transport.write(request)

    async def head(self) -> None:
        """Wait until the reader has the head."""
        while not self._held.has_head:
            await self._progress()

    async def chunk(self) -> bytes:
        """The next part of the body, as it came; empty when that was all."""
        reader = self._held
        while not reader.chunks:
            if reader.complete:
                return b""
            await self._progress()
        chunk = reader.take()
        if self._paused and reader.waiting < _MOST_WAITING // 2:
            self._paused = False
            cast(asyncio.Transport, self._transport).resume_reading()
        return chunk

    def finish(self) -> bool:
        """End the call: whether another one can follow. If not, the connection is closed."""
        reader, self._reader = self._reader, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport = self._transport
        again = (
            reader is not None
            and reader.reusable
            and not reader.chunks
            and self._failure is None
            and not self._closed
            and transport is not None
            # It answered before it had read all.
            and not transport.get_write_buffer_size()
        )
        if not again:
            self.close()
        return again

    def close(self) -> None:
        """At once: what is still to be sent is not."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of the loop."""
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Of the loop."""
        reader = self._reader
        if reader is None:
            # Nothing was asked: as the beginning of the next answer it would be somebody else's.
            self._gone()
            return
        if self._failure is not None:
            return
        try:
            reader.feed(data)
        except CallFailed as failure:
            self._fail(failure)
            return
        if reader.waiting > _MOST_WAITING and not self._paused:
            self._paused = True
            cast(asyncio.Transport, self._transport).pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Of the loop, which then closes the connection: nobody has use for half of one."""
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Of the loop."""
        if exc is not None and self._reader is not None and not self._reader.complete:
            self._fail(BrokenAnswer(_LOST))
        self._ended()
        self._transport = None

    @property
    def _held(self) -> AnswerReader:
        if self._reader is None:
            raise RuntimeError("no call is under way")
        return self._reader

    async def _progress(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _ended(self) -> None:
        self._closed = True
        if self._reader is None:
            self._gone()
        elif self._failure is None:
            try:
                self._reader.end()
            except CallFailed as failure:
                self._fail(failure)
            else:
                self._wake()

    def _expire(self) -> None:
        if self._reader is not None and not self._reader.complete:
            self._fail(TimedOut("the answer was not complete in time"))

    def _fail(self, failure: CallFailed) -> None:
        if self._failure is None:
            self._failure = failure
        self.close()
        self._wake()

    def _gone(self) -> None:
        self.close()
        told, self.when_gone = self.when_gone, None
        if told is not None:
            told()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connect(target: Target, address: Address, *, tls: ssl.SSLContext) -> Connection:
    """A connection to that address, on which the target's name is spoken for. ConnectFailed says why there is none."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    encryption: dict[str, Any] = {}
    if target.scheme == "https":
        encryption = {"ssl": tls, "server_hostname": target.host}
    try:
        with _Opening(family) as opening:
            await loop.sock_connect(opening.socket, (str(address), target.port))
            # Whatever a proxy of the system, a rule of the kernel or a mistake of ours did: before a byte is sent.
            if address_of(opening.socket.getpeername()[0]) != address:
                raise ConnectFailed("the connection led to another address than the one that was checked")
            connection = Connection(address)
            await loop.create_connection(lambda: connection, sock=opening.handed_over(), **encryption)
            return connection
    except ssl.SSLCertVerificationError:
        raise ConnectFailed("the certificate is not valid for this host") from None
    except ssl.SSLError:
        raise ConnectFailed("no TLS connection came about") from None
    except (OSError, ValueError):
        raise ConnectFailed("no connection came about") from None


class _Opening:
    """A socket that is closed unless it was handed over."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self._ours = True

    def handed_over(self) -> socket.socket:
        self._ours = False
        return self.socket

    def __enter__(self) -> _Opening:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._ours:
            self.socket.close()
