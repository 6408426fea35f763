"""Writing what handlers say while they work: progress, output, more time. Now and then, many jobs' in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Final

import structlog

from dataqueue.domain.job import Note, Reported
from dataqueue.errors import DataQueueError, StorageRefused
from dataqueue.processing.backoff import Backoff
from dataqueue.processing.leases import Held
from dataqueue.storage.port import JobStore

log = structlog.get_logger(__name__)

INTERVAL: Final = 0.5
"""Seconds between two writes at least: whoever watches sees no more, and the storage bears 10,000 notes a second."""
_LARGEST_WRITE: Final = 500


class Notes:
    """Keeps the last note of each job until it is written. `told` hears of each that was kept, `lost` of each job that
    somebody else has."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        lost: Callable[[Held], None],
        told: Callable[[Held, Note], None] = lambda _held, _note: None,
        interval: float = INTERVAL,
    ) -> None:
        self._jobs, self._lost, self._told, self._interval = jobs, lost, told, interval
        self._pending: dict[Held, Note] = {}
        self._in_flight: dict[Held, Note] = {}
        self._after: dict[Held, Callable[[], None]] = {}
        self._hurried = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self.writes = 0

    def add(self, held: Held, note: Note) -> None:
        """Hand in a note; what it does not say stays as it was."""
        earlier = self._pending.get(held)
        self._pending[held] = note if earlier is None else earlier.followed_by(note)
        if self._writing is None or self._writing.done():
            # In a context of its own: the write is not only of the job that happens to start it.
            self._writing = asyncio.get_running_loop().create_task(self._write(), context=Context())

    def when_written(self, held: Held, then: Callable[[], None]) -> None:
        """Call `then` once nothing is left to write of a job: the last note lands before the outcome does."""
        if held in self._pending or held in self._in_flight:
            self._after[held] = then
            self._hurried.set()
        else:
            then()

    def drop(self, held: Held) -> None:
        """Nothing more is to be said of a job."""
        self._pending.pop(held, None)

    async def settle(self) -> None:
        """Wait until everything handed in has been written or refused."""
        self._hurried.set()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write(self) -> None:
        backoff = Backoff()
        while self._pending:
            taken = list(self._pending)[:_LARGEST_WRITE]
            self._in_flight = {held: self._pending.pop(held) for held in taken}
            try:
                await self._write_these(list(self._in_flight.items()))
            except Exception as error:
                if backoff.failures == 0:
                    unforeseen = None if isinstance(error, DataQueueError) else error
                    log.warning("notes.waiting", jobs=len(self._in_flight), exc_info=unforeseen)
                self._put_back()
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._go_on()
            if self._pending:
                await self._rest()

    async def _write_these(self, notes: Sequence[tuple[Held, Note]]) -> None:
        self.writes += 1
        try:
            answers = await self._jobs.note([held.lease for held, _ in notes], notes=[note for _, note in notes])
        except StorageRefused as error:
            await self._halve(notes, error)
            return
        for (held, note), answer in zip(notes, answers, strict=True):
            if answer is Reported.LOST:
                self._lost(held)
            else:
                self._told(held, note)

    async def _halve(self, notes: Sequence[tuple[Held, Note]], error: StorageRefused) -> None:
        """The storage refuses these as they are: find the one at fault, and write the others."""
        if len(notes) == 1:
            log.error("note.refused", job_id=str(notes[0][0].job.id), error=str(error))
            return
        middle = len(notes) // 2
        await self._write_these(notes[:middle])
        await self._write_these(notes[middle:])

    def _put_back(self) -> None:
        for held, note in self._in_flight.items():
            later = self._pending.get(held)
            self._pending[held] = note if later is None else note.followed_by(later)
        self._in_flight = {}

    def _go_on(self) -> None:
        done, self._in_flight = list(self._in_flight), {}
        for held in done:
            if held not in self._pending and (then := self._after.pop(held, None)) is not None:
                then()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._hurried.wait()
        except TimeoutError:
            pass
        self._hurried.clear()
