"""An executor without a storage."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

from dataqueue import HandlerRegistry
from dataqueue.domain.job import Lease, Note, Reported
from dataqueue.domain.steps import Step
from dataqueue.outcome import Outcome
from dataqueue.processing.executor import Executor
from dataqueue.processing.leases import Held, LeaseTable, Stop
from dataqueue.processing.local_work import Durable, LocalWork
from dataqueue.processing.notes import Notes
from tests.unit.claimed import a_claimed_job

SLOTS = 3


class Bench:
    """An executor whose reports are kept."""

    def __init__(self, registry: HandlerRegistry, **options: Any) -> None:
        self.table = LeaseTable(lease=30)
        self.reports: list[tuple[Held, Outcome]] = []
        self.lost: list[Held] = []
        self.freed = 0
        self.notes: list[Note] = []
        storage: Any = self
        durable = Durable(
            steps=storage,
            tokens=storage,
            notes=Notes(jobs=storage, lost=self.lost.append, interval=0),
            callback_url=storage,
            lost=self.lost.append,
        )
        self.executor = Executor(
            handlers=registry,
            table=self.table,
            concurrency=SLOTS,
            work_of=partial(LocalWork, durable=durable),
            report=lambda held, outcome: self.reports.append((held, outcome)),
            freed=self._count_freed,
            **options,
        )

    def start(self, **fields: Any) -> Held:
        [held] = self.table.take([a_claimed_job(**fields)], sent=executing_now())
        self.executor.start([held])
        return held

    def stop(self, held: Held, why: Stop) -> None:
        assert self.table.tell(held, why)
        self.executor.interrupt(held)

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome in self.reports]

    async def of_jobs(self, job_ids: list[UUID]) -> list[list[Step]]:
        return [[] for _ in job_ids]

    async def note(self, leases: list[Lease], *, notes: list[Note]) -> list[Reported]:
        """In place of the storage."""
        self.notes += notes
        return [Reported.OK for _ in leases]

    def _count_freed(self) -> None:
        self.freed += 1


def executing_now() -> float:
    return asyncio.get_running_loop().time()
