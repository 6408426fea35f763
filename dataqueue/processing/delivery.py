"""Writing one kind of outcome: many in a write, again while the storage is away.

Also when this worker would no longer believe in the lease: the storage's fence makes a late write harmless, and while
nobody has taken the job over it is still good. What a drop would save is nothing; what it costs is a second run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from operator import itemgetter
from typing import Final, Generic, TypeVar

import structlog

from dataqueue.coalescing import Coalescer
from dataqueue.domain.job import Lease, Reported
from dataqueue.errors import DataQueueError, StorageRefused
from dataqueue.processing.backoff import Backoff
from dataqueue.processing.leases import Held, LeaseTable

log = structlog.get_logger(__name__)

LARGEST_WRITE: Final = 1000
_WEIGHT_BITS: Final = 12  # a value counts as one more item for each 4 KiB of it

T = TypeVar("T")
Report = tuple[Held, T, int]
"""A job, what is to be written of it, and its weight."""


class Delivery(Generic[T]):
    """Shares the writes of one verb.

    `refused` takes what the storage refuses when it is sent alone. `told` hears of each report that was kept,
    `told_lost` of each that came too late, `troubled` of the first failure of each outage and of each refusal.
    """

    def __init__(
        self,
        verb: str,
        *,
        write: Callable[[Sequence[Lease], Sequence[T]], Awaitable[Sequence[Reported]]],
        table: LeaseTable,
        refused: Callable[[Held], None],
        written: Callable[[list[Held]], None],
        told: Callable[[Held, T], None] | None = None,
        told_lost: Callable[[Held], None] = lambda _: None,
        troubled: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._verb, self._write, self._table, self._told, self._troubled = verb, write, table, told, troubled
        self._refused, self._written, self._told_lost = refused, written, told_lost
        self._shared: Coalescer[Report[T], None] = Coalescer(self._deliver, most=LARGEST_WRITE, weight=itemgetter(2))
        self.waiting = 0
        """The weight of what has not been written yet."""
        self.written = self.lost = 0

    def add(self, held: Held, value: T, *, size: int = 0) -> None:
        """Hand in one report; `size` is that of its value."""
        weight = 1 + (size >> _WEIGHT_BITS)
        self.waiting += weight
        self._shared.submit((held, value, weight))

    async def settle(self) -> None:
        """Wait until everything handed in has been written or given up."""
        await self._shared.settle()

    async def _deliver(self, reports: Sequence[Report[T]]) -> list[None]:
        try:
            await self._until_settled(reports)
        finally:
            self.waiting -= sum(weight for _, _, weight in reports)
        return [None] * len(reports)

    async def _until_settled(self, reports: Sequence[Report[T]]) -> None:
        backoff = Backoff()
        while True:
            try:
                answers = await self._write([held.lease for held, _, _ in reports], [value for _, value, _ in reports])
            except StorageRefused as error:
                await self._halve(reports, error)
                return
            except Exception as error:
                if backoff.failures == 0:
                    # An outage is told in a line; what we did not foresee, with its traceback.
                    unforeseen = None if isinstance(error, DataQueueError) else error
                    log.warning("reports.waiting", verb=self._verb, jobs=len(reports), exc_info=unforeseen)
                    self._troubled(error)
                await asyncio.sleep(backoff.next())
            else:
                self._settle(reports, answers)
                return

    async def _halve(self, reports: Sequence[Report[T]], error: StorageRefused) -> None:
        """The storage refuses these as they are: find the one at fault, and write the others."""
        if len(reports) > 1:
            middle = len(reports) // 2
            await self._until_settled(reports[:middle])
            await self._until_settled(reports[middle:])
            return
        held = reports[0][0]
        log.error("report.refused", verb=self._verb, job_id=str(held.job.id), error=str(error))
        self._troubled(error)
        self._refused(held)

    def _settle(self, reports: Sequence[Report[T]], answers: Sequence[Reported]) -> None:
        done = [held for held, _, _ in reports]
        self._table.drop(done)
        for held, answer in zip(done, answers, strict=True):
            if answer == Reported.LOST:
                log.warning("job.lost", verb=self._verb, job_id=str(held.job.id), job_type=held.job.job_type)
                self.lost += 1
                self._told_lost(held)
        if self._told is not None:
            for (held, value, _), answer in zip(reports, answers, strict=True):
                # A duplicate: the first write was kept, and only its reply was lost.
                if answer != Reported.LOST:
                    self._told(held, value)
        self.written += len(done)
        self._written(done)
