"""What the context of a handler rests on in a process of its own: `dataqueue.work.Work`, asked of the worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Protocol, TypeVar
from uuid import UUID

from dataqueue.domain.job import Note
from dataqueue.domain.steps import NewStep, Step
from dataqueue.domain.tokens import Token
from dataqueue.processing.calling import in_thread_of
from dataqueue.processing.threads import ThreadPool
from dataqueue.work import OnTimeout
from workers.isolation.channel import Channel
from workers.isolation.messages import (
    Answer,
    Call,
    Noted,
    Raised,
    ReadCallbackUrl,
    ReadSteps,
    ReadToken,
    SaveStep,
    error_of,
)

T = TypeVar("T")


class Timekeeper(Protocol):
    """Who ends what takes too long. Asked on the loop."""

    @property
    def is_over(self) -> bool:
        """Whether the handler was told to stop."""
        ...

    def prolong(self, ms: int | None) -> None: ...

    def ask_for_more(self, callback: OnTimeout) -> None: ...


class ChildWork:
    """See `dataqueue.work.Work`: of the one job in this process. Made on its loop."""

    def __init__(self, channel: Channel, timekeeper: Timekeeper, threads: ThreadPool) -> None:
        self._channel, self._timekeeper, self._threads = channel, timekeeper, threads
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}

    @property
    def cancelled(self) -> bool:
        return self._timekeeper.is_over

    async def steps(self) -> Sequence[Step]:
        steps: Sequence[Step] = await self._ask(ReadSteps(next(self._numbers)))
        return steps

    async def save_step(self, step: NewStep) -> Step:
        stored: Step = await self._ask(SaveStep(next(self._numbers), step))
        return stored

    async def token(self, token_id: UUID) -> Token:
        token: Token = await self._ask(ReadToken(next(self._numbers), token_id))
        return token

    async def callback_url(self, token_id: UUID) -> str:
        url: str = await self._ask(ReadCallbackUrl(next(self._numbers), token_id))
        return url

    async def call(self, function: Callable[[], T]) -> T:
        return await in_thread_of(self._threads, function)

    def note(self, note: Note) -> None:
        self._channel.send(Noted(note))

    def prolong(self, ms: int | None) -> None:
        if threading.get_ident() == self._thread:
            self._timekeeper.prolong(ms)
        else:
            # A loop that is closed has no time to keep.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._timekeeper.prolong, ms)

    def on_timeout(self, callback: OnTimeout) -> None:
        self._timekeeper.ask_for_more(callback)

    def hear(self, message: Answer | Raised) -> None:
        """Take what the worker answers."""
        future = self._asked.pop(message.n, None)
        # A handler may have lost interest in it.
        if future is None or future.done():
            return
        if isinstance(message, Raised):
            future.set_exception(error_of(message))
        else:
            future.set_result(message.value)

    async def _ask(self, call: Call) -> Any:
        self._asked[call.n] = future = self._loop.create_future()
        self._channel.send(call)
        try:
            return await future
        finally:
            self._asked.pop(call.n, None)
