"""What the context of a handler under test rests on: `dataqueue.work.Work` beside a `Memory`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Note
from dataqueue.domain.steps import NewStep, Step
from dataqueue.domain.tokens import Token
from dataqueue.processing.more_time import asked_for
from dataqueue.testing.memory import Memory, callback_url
from dataqueue.work import OnTimeout

T = TypeVar("T")


class MemoryWork:
    """Of one invocation. Whatever a worker asks its storage for lets others go on here, too.

    `crash` is asked, with the name of a step that is done, whether the process dies now: None, or whether the step is
    stored before. `noted` is told what the handler says.
    """

    def __init__(
        self,
        job: ClaimedJob,
        memory: Memory,
        clock: ManualClock,
        *,
        crash: Callable[[str], bool | None],
        noted: Callable[[Note], None],
    ) -> None:
        self.job: Final = job
        self._memory, self._clock, self._crash, self._noted = memory, clock, crash, noted
        self.has_crashed = False
        self.is_over = False
        """Whether the handler was told to stop, or its process is dead: what it does now counts for nothing."""
        self.crashed: Final = asyncio.Event()
        self.deadline: datetime | None = None
        self._on_timeout: OnTimeout | None = None
        if job.timeout_ms is not None:
            self.deadline = clock.now() + timedelta(milliseconds=job.timeout_ms)

    @property
    def cancelled(self) -> bool:
        return self.is_over

    async def steps(self) -> Sequence[Step]:
        await asyncio.sleep(0)
        return self._memory.steps()

    async def save_step(self, step: NewStep) -> Step:
        await asyncio.sleep(0)
        self.check_alive()
        stored_before = self._crash(step.name)
        if stored_before is None:
            return self._memory.save(step)
        if stored_before:
            self._memory.save(step)
        self.is_over = self.has_crashed = True
        self.crashed.set()
        # Until it is cancelled: of a process that is dead nothing comes back.
        await asyncio.Event().wait()
        raise AssertionError

    async def token(self, token_id: UUID) -> Token:
        await asyncio.sleep(0)
        self.check_alive()
        return self._memory.token(token_id)

    async def callback_url(self, token_id: UUID) -> str:
        await asyncio.sleep(0)
        return callback_url(token_id)

    async def call(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)

    def note(self, note: Note) -> None:
        if not self.is_over:
            self._noted(note)

    def prolong(self, ms: int | None) -> None:
        ms = self.job.timeout_ms if ms is None else ms
        if ms is not None and self.deadline is not None and not self.is_over:
            self.deadline = self._clock.now() + timedelta(milliseconds=ms)
            self.note(Note(prolonged_ms=ms))

    def on_timeout(self, callback: OnTimeout) -> None:
        self._on_timeout = callback

    def asks_for_more(self) -> bool:
        """Whether the handler wants more time, which it then has."""
        more = None if self._on_timeout is None else asked_for(self._on_timeout, self.job)
        if more is not None:
            self.prolong(more)
        return more is not None

    def check_alive(self) -> None:
        """Raises CancelledError, where nothing is done any more."""
        if self.is_over:
            raise asyncio.CancelledError
