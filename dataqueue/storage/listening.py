"""Hearing hints for as long as somebody wants to, whatever becomes of the connection; and how they are written."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import orjson
import structlog

from dataqueue.storage.port import LISTENING, Hint

SILENCE: Final = 15.0
"""Seconds without a word after which a listener asks: a balancer may have dropped the connection without one."""
_MOST_WAITING: Final = 1000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0

log = structlog.get_logger(__name__)

Say = Callable[[Hint], None]


@asynccontextmanager
async def listening(
    hear: Callable[[Say], Awaitable[None]], *, broken: tuple[type[Exception], ...]
) -> AsyncIterator[AsyncIterator[Hint]]:
    """The hints that `hear` says. It connects, says `LISTENING`, and when the connection is gone it ends, or raises one
    of `broken`; then it is called again, soon at first."""
    arrived: asyncio.Queue[Hint] = asyncio.Queue(_MOST_WAITING)
    hearing = asyncio.create_task(_keep_hearing(hear, arrived, broken))
    try:
        yield _each(arrived)
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def _keep_hearing(
    hear: Callable[[Say], Awaitable[None]], arrived: asyncio.Queue[Hint], broken: tuple[type[Exception], ...]
) -> None:
    pause = _FIRST_PAUSE

    def say(hint: Hint) -> None:
        nonlocal pause
        if hint is LISTENING:
            pause = _FIRST_PAUSE
        with contextlib.suppress(asyncio.QueueFull):  # whoever is that far behind polls anyway
            arrived.put_nowait(hint)

    while True:
        try:
            await hear(say)
        except broken as error:
            log.debug("listen_failed", error=type(error).__name__)
        except Exception as error:
            # Whatever it was: who stops hearing for good is as late as the next poll from then on.
            log.warning("listen_failed", error=type(error).__name__, exc_info=error)
        await asyncio.sleep(random.uniform(0.05, pause))
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _each(arrived: asyncio.Queue[Hint]) -> AsyncIterator[Hint]:
    while True:
        yield await arrived.get()


def packed(hint: Hint, *, longest: int) -> str:
    """A hint as it is sent. Where that would be too long the names are left out, which means "some"."""
    whole = orjson.dumps([hint.kind, hint.namespace, hint.names])
    return (whole if len(whole) <= longest else orjson.dumps([hint.kind, hint.namespace, ()])).decode()


def unpacked(text: str) -> Hint:
    kind, namespace, names = orjson.loads(text)
    return Hint(kind, namespace, tuple(names))
