"""Server-sent events on the wire (WHATWG HTML, 9.2): what a stream sends, and how it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final

import structlog
from fastapi.sse import format_sse_event
from starlette.types import Message, Receive, Send

from app.rendering import event_json
from dataqueue.domain.events import Event
from dataqueue.errors import PositionExpired, StorageNotReady, StorageUnavailable, Unauthenticated
from dataqueue.streaming.following import Delivery, FellBehind

QUIET: Final = 15.0
"""Seconds between signs of life."""
_SEND_WITHIN: Final = 30.0
_GOODBYE_WITHIN: Final = 1.0
_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
log = structlog.get_logger(__name__)


def event_frame(event: Event) -> bytes:
    """One event as every stream sends it."""
    return format_sse_event(data_str=event_json(event).decode(), event=event.event, id=str(event.id))


class EventStreams:
    """The streams that are open in this process, and their end when it is to stop."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open: set[asyncio.Task[None]] = set()
        self._taken = 0
        self._closed = False

    @property
    def is_full(self) -> bool:
        return self._taken >= self._most

    @contextmanager
    def place(self) -> Iterator[None]:
        """A stream's place among those there may be: from before it is known where it begins."""
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def close(self) -> None:
        """End every stream, each with a hint when to come back."""
        self._closed = True
        for task in self._open:
            task.cancel()

    async def run(
        self,
        follow: Callable[[Callable[[], None]], AsyncGenerator[Delivery[bytes]]],
        receive: Receive,
        send: Send,
        *,
        position: int,
        recheck: Callable[[], Awaitable[object]],
        head: bool = False,
    ) -> None:
        """Send until the reader hangs up, falls behind or loses its key, or the process stops.

        `follow` is given what to call when the reader falls behind: it may be in the middle of a send then.
        The first block says where the stream begins and a quiet stream says so again with every sign of life, so that
        whoever reconnects begins there and not before, and has seen all until then.
        """
        try:
            await _send(send, {"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
        except TimeoutError:
            log.info("stream.cut_off", reason="TimeoutError")
            return
        if head:
            await send({"type": "http.response.body", "body": b""})
            return
        fell_behind = asyncio.Event()

        def cut_off() -> None:
            fell_behind.set()
            sending.cancel()

        sending = asyncio.create_task(_deliver(follow(cut_off), send, position, recheck))
        hanging_up = asyncio.create_task(_hang_up(receive))
        self._open.add(sending)
        try:
            if self._closed:
                sending.cancel()
            await asyncio.wait((sending, hanging_up), return_when=asyncio.FIRST_COMPLETED)
            if hanging_up.done():
                return
            await _say_goodbye(send)
        finally:
            self._open.discard(sending)
            for task in (sending, hanging_up):
                task.cancel()
            await asyncio.gather(sending, hanging_up, return_exceptions=True)
            _report(FellBehind() if fell_behind.is_set() else None if sending.cancelled() else sending.exception())


async def _deliver(
    deliveries: AsyncGenerator[Delivery[bytes]],
    send: Send,
    position: int,
    recheck: Callable[[], Awaitable[object]],
) -> None:
    now = asyncio.get_running_loop().time
    recheck_at = now() + QUIET
    # Closed here: left to the collector, a stream that ends within a send would be told of events for a while yet.
    async with aclosing(deliveries):
        await _send(send, _body(_place(position, comment="connected")))
        async for delivery in deliveries:
            if now() >= recheck_at:
                with suppress(StorageUnavailable, StorageNotReady):  # then nobody's key can be revoked either
                    await recheck()
                recheck_at = now() + QUIET
            await _send(send, _body(b"".join(delivery.items) or _place(delivery.position, comment="ping")))


async def _send(send: Send, message: Message) -> None:
    async with asyncio.timeout(_SEND_WITHIN):
        await send(message)


def _body(text: bytes) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": True}


async def _say_goodbye(send: Send) -> None:
    """End the answer; all the readers of a process that stops come back at different times."""
    body = format_sse_event(retry=random.randint(500, 3000), comment="goodbye")
    with suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_WITHIN):
            await send({"type": "http.response.body", "body": body})


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _place(position: int, *, comment: str) -> bytes:
    """A block without data: a reader takes note of its id, and of no event."""
    return format_sse_event(id=str(position), comment=comment)


def _report(error: BaseException | None) -> None:
    """What ended a stream, where it was not the reader."""
    match error:
        case None | Unauthenticated():
            pass
        case FellBehind() | TimeoutError() | PositionExpired():
            log.info("stream.cut_off", reason=type(error).__name__)
        case StorageUnavailable() | StorageNotReady():
            log.info("stream.ended", error=str(error))
        case _:
            log.error("stream.failed", exc_info=error)
