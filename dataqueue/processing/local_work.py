"""What the context of a handler rests on in a worker: `dataqueue.work.Work` beside the storage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar
from uuid import UUID

import structlog

from dataqueue.coalescing import Coalescer
from dataqueue.domain.job import Lease, Note
from dataqueue.domain.steps import NewStep, Step
from dataqueue.domain.tokens import Token
from dataqueue.errors import LeaseLost, StorageRefused, StorageUnavailable
from dataqueue.processing.backoff import Backoff
from dataqueue.processing.calling import in_thread_of
from dataqueue.processing.leases import Held
from dataqueue.processing.notes import Notes
from dataqueue.processing.threads import ThreadPool
from dataqueue.storage.port import StepLog, TokenStore
from dataqueue.work import OnTimeout

log = structlog.get_logger(__name__)

_LARGEST_WRITE: Final = 4 << 20
_ROW: Final = 200
_MOST_LOGS: Final = 100

T = TypeVar("T")


class Timekeeper(Protocol):
    """Who ends what takes too long."""

    def prolong(self, held: Held, ms: int | None) -> None: ...


class Durable:
    """The storage as all jobs of a worker share it. `lost` is told of a job that somebody else has."""

    def __init__(
        self,
        *,
        steps: StepLog,
        tokens: TokenStore,
        notes: Notes,
        callback_url: Callable[[UUID], Awaitable[str]],
        lost: Callable[[Held], None],
    ) -> None:
        self._steps, self._tokens, self._lost = steps, tokens, lost
        self.notes, self.callback_url = notes, callback_url
        self._reading: Coalescer[UUID, Sequence[Step]] = Coalescer(self._steps.of_jobs, most=_MOST_LOGS)
        self._saving: Coalescer[tuple[Lease, NewStep], Step | None] = Coalescer(
            self._save, most=_LARGEST_WRITE, weight=lambda item: _ROW + len(item[1].value or "")
        )

    async def steps_of(self, held: Held) -> Sequence[Step]:
        """The step log. Jobs that are started together read theirs together."""
        return await _patiently(held, lambda: self._reading.submit(held.job.id))

    async def token(self, held: Held, token_id: UUID) -> Token:
        return await _patiently(held, lambda: self._tokens.get(token_id))

    async def save(self, held: Held, step: NewStep) -> Step:
        """Store a step. While the storage is away the handler waits: what it has done must not be forgotten."""
        stored = await _patiently(held, lambda: self._saving.submit((held.lease, step)))
        if stored is None:
            self._lost(held)
            raise LeaseLost(f"job {held.job.id} was taken from this worker")
        return stored

    async def _save(self, steps: Sequence[tuple[Lease, NewStep]]) -> Sequence[Step | Exception | None]:
        try:
            return await self._steps.save(steps)
        except StorageRefused as error:
            # One of them is at fault: find it, and store the others.
            if len(steps) == 1:
                return [error]
        middle = len(steps) // 2
        return [*await self._save(steps[:middle]), *await self._save(steps[middle:])]


class LocalWork:
    """See `dataqueue.work.Work`: of one job in this worker's hands. Made on the worker's loop."""

    def __init__(self, held: Held, timekeeper: Timekeeper, threads: ThreadPool, *, durable: Durable) -> None:
        self._held, self._durable, self._timekeeper, self._threads = held, durable, timekeeper, threads
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    @property
    def cancelled(self) -> bool:
        return self._held.cancelled

    async def steps(self) -> Sequence[Step]:
        steps = self._held.job.steps
        return await self._durable.steps_of(self._held) if steps is None else steps

    async def save_step(self, step: NewStep) -> Step:
        return await self._durable.save(self._held, step)

    async def token(self, token_id: UUID) -> Token:
        return await self._durable.token(self._held, token_id)

    async def callback_url(self, token_id: UUID) -> str:
        return await _patiently(self._held, lambda: self._durable.callback_url(token_id))

    async def call(self, function: Callable[[], T]) -> T:
        return await in_thread_of(self._threads, function)

    def note(self, note: Note) -> None:
        self._on_loop(lambda: self._note(note))

    def prolong(self, ms: int | None) -> None:
        self._on_loop(lambda: self._timekeeper.prolong(self._held, ms))

    def on_timeout(self, callback: OnTimeout) -> None:
        self._held.on_timeout = callback

    def _note(self, note: Note) -> None:
        if self._held.runs_undisturbed:
            self._durable.notes.add(self._held, note)

    def _on_loop(self, what: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            what()
        else:
            # A worker that is gone keeps nothing.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(what)


async def _patiently(held: Held, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the storage is away and the job is still ours."""
    backoff: Backoff | None = None
    while True:
        try:
            return await ask()
        except StorageUnavailable:
            if not held.runs_undisturbed:
                raise
            if backoff is None:
                log.warning("steps.waiting", job_id=str(held.job.id))
                backoff = Backoff()
            await asyncio.sleep(backoff.next())
