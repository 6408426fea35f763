"""Keeps leases, and tells handlers to stop whose lease is gone. Lives in a thread of its own: see `aside`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog

from dataqueue.domain.job import Beat
from dataqueue.errors import DataQueueError
from dataqueue.processing.backoff import Backoff
from dataqueue.processing.leases import Held, LeaseTable, Stop
from dataqueue.storage.port import JobStore

log = structlog.get_logger(__name__)

_BATCH: Final = 1000
_BUSY_PAUSE: Final = 1.0  # somebody's transaction holds the row: it must be renewed before the lease is over
_BEATS: Final = 3  # in the length of a lease


class Heartbeat:
    """Renews every lease held, a third of a lease after the last time, and at once when asked to.

    `told` is called for each job whose handler must stop, `cancelled` with the jobs that a beat has cancelled,
    `troubled` at the first failure of each outage.
    """

    def __init__(
        self,
        *,
        jobs: JobStore,
        table: LeaseTable,
        told: Callable[[Held], None],
        cancelled: Callable[[list[Held]], None],
        troubled: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._jobs, self._table, self._told, self._cancelled = jobs, table, told, cancelled
        self._troubled = troubled
        self._period = table.lease / _BEATS
        # A connection that went silent must leave time for another one.
        self._patience = self._period / 2
        self._asked = asyncio.Event()

    def beat_soon(self) -> None:
        """Somebody wants a running job cancelled: find out which. On this thread's loop only."""
        self._asked.set()

    async def run(self) -> None:
        backoff = Backoff(longest=self._period)
        while True:
            try:
                pause = await self.tick()
            except Exception as error:
                pause = backoff.next()
                if backoff.failures == 1:
                    unforeseen = None if isinstance(error, DataQueueError | TimeoutError) else error
                    log.warning("heartbeat.failing", jobs=len(self._table), exc_info=unforeseen)
                    self._troubled(error)
            else:
                if backoff.failures:
                    log.info("heartbeat.recovered", failures=backoff.failures)
                backoff.reset()
            await self._rest(pause)

    async def tick(self) -> float:
        """Renew what is held now, and act on the answers; the seconds until the next time."""
        held, pause = self._table.to_renew(), self._period
        for start in range(0, len(held), _BATCH):
            if Beat.BUSY in await self._beat(held[start : start + _BATCH]):
                pause = min(self._period, _BUSY_PAUSE)
        return pause

    async def _beat(self, held: Sequence[Held]) -> Sequence[Beat]:
        sent = time.monotonic()
        async with asyncio.timeout(self._patience):
            beats = await self._jobs.heartbeat([one.lease for one in held], lease=timedelta(seconds=self._table.lease))
        answered = list(zip(held, beats, strict=True))
        self._table.renew((one for one, beat in answered if beat == Beat.OK), sent=sent)
        for one, beat in answered:
            if beat == Beat.CANCEL and self._table.tell(one, Stop.CANCELLED):
                log.info("job.cancelled", job_id=str(one.job.id), job_type=one.job.job_type)
                self._told(one)
            elif beat == Beat.LOST and self._table.tell(one, Stop.LOST):
                log.warning("job.lost", verb="heartbeat", job_id=str(one.job.id), job_type=one.job.job_type)
                self._told(one)
        if Beat.CANCEL in beats:
            self._cancelled([one for one, beat in answered if beat == Beat.CANCEL])
        return beats

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            pass
        self._asked.clear()


class Watch:
    """Stops handlers whose lease this worker can no longer believe in, whether the storage answers or not."""

    def __init__(self, *, table: LeaseTable, told: Callable[[Held], None]) -> None:
        self._table, self._told = table, told

    async def run(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(self._table.next_look())

    def tick(self) -> int:
        """Stop what is overdue; says how many."""
        overdue = [held for held in self._table.overdue() if self._table.tell(held, Stop.LOST)]
        for held in overdue:
            log.warning("job.lease_ended", job_id=str(held.job.id), job_type=held.job.job_type)
            self._told(held)
        return len(overdue)
