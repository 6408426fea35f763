"""Accepting jobs: the shared writes, and what is done when one of them fails (design 3.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from dataqueue.coalescing import Coalescer
from dataqueue.domain.job import Enqueued, NewJob
from dataqueue.errors import DataQueueError, IdempotencyInProgress, NotFound, StorageNotReady, StorageUnavailable
from dataqueue.storage.port import JobStore

LARGEST_WRITE: Final = 1000
_RETRY_WITHIN: Final = 1.2
_RETRY_PAUSE: Final = 0.1
_WEIGHT_BITS: Final = 12  # of a payload: one more for each 4 KiB

Unit = Sequence[NewJob]
"""Jobs that are stored together or not at all: one request's."""


class Enqueuer:
    """Takes the enqueues of one namespace in one process.

    `announce` is told the types that became ready, `created` the type of each job that was stored.
    """

    def __init__(
        self,
        jobs: JobStore,
        *,
        announce: Callable[[set[str]], None],
        created: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._jobs, self._announce, self._created = jobs, announce, created
        # Apart, because a keyed write may wait for somebody's open transaction and an unkeyed one never does.
        self._unkeyed: Coalescer[Unit, list[Enqueued]] = Coalescer(self.write, most=LARGEST_WRITE, weight=_weight)
        self._keyed: Coalescer[Unit, list[Enqueued]] = Coalescer(self.write, most=LARGEST_WRITE, weight=_weight)

    async def add(self, unit: Unit) -> list[Enqueued]:
        """Store the jobs, whole or not at all, and answer once that is certain.

        Raises AlreadyExists, IdempotencyInProgress, StorageUnavailable. The write goes on if the caller leaves.
        """
        if not unit:
            return []
        shared = self._keyed if any(job.is_keyed for job in unit) else self._unkeyed
        return await shared.submit(unit)

    async def settle(self) -> None:
        """Wait for the writes under way."""
        await self._keyed.settle()
        await self._unkeyed.settle()

    async def write(self, units: Sequence[Unit]) -> list[list[Enqueued] | Exception]:
        """Store units in a write of their own, all keyed or all not; what became of each, in order."""
        answers = await self._halved(units)
        created = [
            job
            for unit, answer in zip(units, answers, strict=True)
            if not isinstance(answer, Exception)
            for job, enqueued in zip(unit, answer, strict=True)
            if enqueued.created
        ]
        for job in created:
            self._created(job.job_type)
        if ready := {job.job_type for job in created if _starts_now(job)}:
            self._announce(ready)
        return answers

    async def _halved(
        self, units: Sequence[Unit], *, again: bool = False, waited: bool = False
    ) -> list[list[Enqueued] | Exception]:
        """One write for all, repeated with the same ids when its reply was lost: that cannot store a job twice.

        When the storage refuses it, halves, until the unit at fault stands alone; what they repeat is still a repeat.
        They hardly wait for a transaction that the whole has waited for: many keys may be held by one, and behind this
        write all that is keyed waits.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _RETRY_WITHIN
        while True:
            try:
                return [*await self._jobs.enqueue(units, again=again, waited=waited)]
            except StorageUnavailable as error:
                again = again or error.outcome_unknown
                if not again or loop.time() + _RETRY_PAUSE >= give_up:
                    return [error] * len(units)
            except (NotFound, StorageNotReady) as error:
                return [error] * len(units)
            except DataQueueError as error:
                if len(units) == 1:
                    return [error]
                waited = waited or isinstance(error, IdempotencyInProgress)
                break
            await asyncio.sleep(_RETRY_PAUSE)
        middle = len(units) // 2
        halves = (units[:middle], units[middle:])
        return [answer for half in halves for answer in await self._halved(half, again=again, waited=waited)]


def _weight(unit: Unit) -> int:
    """A large payload counts as several jobs, so that a shared write stays within some megabytes."""
    return sum(1 + (len(job.payload) >> _WEIGHT_BITS) for job in unit)


def _starts_now(job: NewJob) -> bool:
    """By our own clock, which is good enough for a hint."""
    return job.delay is None and (job.run_at is None or job.run_at <= datetime.now(UTC))
