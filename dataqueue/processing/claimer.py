"""Takes jobs as slots become free."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog

from dataqueue.errors import DataQueueError
from dataqueue.processing.backoff import Backoff
from dataqueue.processing.leases import Held, LeaseTable
from dataqueue.storage.port import JobStore

log = structlog.get_logger(__name__)

_FIRST_LOOK: Final = 0.1
_LOOK_AGAIN: Final = (0.003, 0.009, 0.027)
"""After some were found: hints of one sender are 50 ms apart, so more may have come that nobody tells yet."""
_LINGER: Final = 0.005
_WORTH_A_CLAIM: Final = 100
_JITTER: Final = 0.2


class Claimer:
    """One claim at a time, for as many jobs as there is room for.

    While work is plentiful it claims again as soon as a quarter of the slots is free; fewer wait a moment for
    company. When work has run out it sleeps until a hint comes, or until the next poll.

    `room` says how many jobs may be started; `start` takes those that were claimed; `troubled` hears of the first
    failure of each outage.
    """

    def __init__(
        self,
        *,
        jobs: JobStore,
        table: LeaseTable,
        job_types: Sequence[str],
        worker_id: str,
        concurrency: int,
        poll: float,
        room: Callable[[], int],
        start: Callable[[list[Held]], None],
        troubled: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._jobs, self._table, self._job_types, self._worker_id = jobs, table, job_types, worker_id
        self._poll, self._room, self._start, self._troubled = poll, room, start, troubled
        self._lease = timedelta(seconds=table.lease)
        self._enough = max(1, concurrency // 4)
        # Half of the slots: the next claim is under way while the jobs of this one are started.
        self._most = max(_WORTH_A_CLAIM, concurrency // 2)
        self._hinted, self._freed, self._stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._backoff = Backoff()
        self._unsure_until = self._next_recall = 0.0
        self._looks = iter(_LOOK_AGAIN)
        self.errors = 0
        """Claims that failed."""

    def hint(self) -> None:
        """Jobs may be ready."""
        self._hinted.set()

    def freed(self) -> None:
        """There may be more room."""
        self._freed.set()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Claim no more. A claim under way is still taken in: the storage may have made it already."""
        for event in (self._stopped, self._hinted, self._freed):
            event.set()

    async def run(self) -> None:
        if not self._job_types:
            await self._stopped.wait()
        # A fleet that starts together must not claim together.
        await _wait(self._hinted, random.uniform(0, min(_FIRST_LOOK, self._poll)))
        plentiful = False
        while not self.stopped:
            room = await self._wait_for_room(linger=_LINGER if plentiful else 0)
            if not room:
                return
            # Before the claim: a hint that comes while it is under way may be about what it did not see.
            self._hinted.clear()
            room = min(room, self._most)
            found = await self.tick(room)
            plentiful = found == room
            if found is not None and not plentiful:
                await self._wait_for_work(found)

    async def run_batch(self, size: int) -> int:
        """Claim up to `size` jobs in all, as slots become free, until there are fewer than asked for; says how many.

        Raises what a claim raises, after giving back what it may have taken.
        """
        taken = 0
        while taken < size and self._job_types:
            room = min(await self._wait_for_room(linger=_LINGER if taken else 0), size - taken)
            if not room:
                break
            try:
                found = await self._claim(room)
            except Exception:
                await self._recall_at_once()
                raise
            if found is None:
                await self._recall_at_once()
            taken += found or 0
            if found != room:
                break
        return taken

    async def tick(self, room: int) -> int | None:
        """Claim up to `room` jobs and start them; says how many, None when the storage could not be asked."""
        try:
            await self._recall()
            found = await self._claim(room)
        except Exception as error:  # noqa: BLE001 - a claimer that dies is a worker that does nothing
            # Also after what looks like a refusal: a look costs one statement, a stranded job a lease and a crash.
            self._unsure_until = time.monotonic() + self._table.lease
            self.errors += 1
            await self._sit_out(error)
            return None
        if self._backoff.failures:
            log.info("claims.recovered", failures=self._backoff.failures)
            self._backoff.reset()
        return found

    async def _claim(self, room: int) -> int | None:
        """Claim and start; None when what was claimed came too late to be believed in."""
        sent = time.monotonic()
        jobs = await self._jobs.claim(self._job_types, limit=room, worker_id=self._worker_id, lease=self._lease)
        if jobs and time.monotonic() >= sent + self._table.believed:
            log.warning("claims.too_late", jobs=len(jobs))
            self._unsure_until = time.monotonic() + self._table.lease
            return None
        self._start(self._table.take(jobs, sent=sent))
        return len(jobs)

    async def _recall(self) -> None:
        """Give back what a claim took whose reply never came: nobody runs it, and its lease would end as a crash."""
        now = time.monotonic()
        if not self._next_recall <= now < self._unsure_until:
            return
        if found := await self._jobs.recall(self._worker_id, known=self._table.leases()):
            log.info("claims.recalled", jobs=found)
        self._next_recall = now + 0.5

    async def _recall_at_once(self) -> None:
        """There is no next look. What cannot be given back comes back when its lease has ended."""
        self._unsure_until = time.monotonic() + self._table.lease
        with suppress(DataQueueError):
            await self._recall()

    async def _wait_for_room(self, *, linger: float) -> int:
        loop = asyncio.get_running_loop()
        until: float | None = None
        while not self.stopped:
            self._freed.clear()
            room, now = self._room(), loop.time()
            if room > 0 and until is None:
                until = now + linger
            if room >= self._enough or (room > 0 and until is not None and now >= until):
                return room
            await _wait(self._freed, self._poll if until is None else until - now)
        return 0

    async def _wait_for_work(self, found: int) -> None:
        """Where there were some, more may have come by now that were not seen, or that others had locked."""
        if found:
            self._looks = iter(_LOOK_AGAIN)
        pause = next(self._looks, None) or self._poll * random.uniform(1 - _JITTER, 1 + _JITTER)
        await _wait(self._hinted, pause)
        if self._hinted.is_set():
            self._looks = iter(_LOOK_AGAIN)

    async def _sit_out(self, error: Exception) -> None:
        pause = self._backoff.next()
        if self._backoff.failures == 1:
            # An outage is told in a line; what we did not foresee, with its traceback.
            unforeseen = None if isinstance(error, DataQueueError) else error
            log.warning("claims.failing", error=str(error), exc_info=unforeseen)
            self._troubled(error)
        await _wait(self._stopped, pause)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
