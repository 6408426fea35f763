"""A worker in this process, on a real storage, whose verbs a test may hold up or break."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from dataqueue.domain.job import Job, JobStatus, NewJob
from dataqueue.handlers import HandlerRegistry
from dataqueue.ids import new_id
from dataqueue.processing.executor import Isolate
from dataqueue.processing.observing import Observer
from dataqueue.processing.worker import Worker
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import JobStore, Storage
from tests.storage.given import NAMESPACE, eventually

Before = Callable[[], Awaitable[None]]
LONG = 60.0
"""Longer than a test may take: what only happens by a poll does not happen."""


class Meddled:
    """A storage that does what the test says before it does a verb, and before it answers. Counts the calls."""

    def __init__(
        self, storage: Storage, before: dict[str, Before] | None = None, *, after: dict[str, Before] | None = None
    ) -> None:
        self._storage = storage
        self.before: dict[str, Before] = {} if before is None else before
        self.after: dict[str, Before] = {} if after is None else after
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def jobs(self, namespace: str) -> Any:
        return _MeddledJobs(self._storage.jobs(namespace), self)


class _MeddledJobs:
    def __init__(self, jobs: JobStore, meddled: Meddled) -> None:
        self._jobs, self._meddled = jobs, meddled

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._jobs, verb)

        async def meddled(*args: Any, **kwargs: Any) -> Any:
            self._meddled.calls[verb] += 1
            if (before := self._meddled.before.get(verb)) is not None:
                await before()
            answer = await method(*args, **kwargs)
            if (after := self._meddled.after.get(verb)) is not None:
                await after()
            return answer

        return meddled


class Stoppable:
    """A worker and the two events that end it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        self.running = asyncio.create_task(worker.run(self.stop, self.hurry))


@asynccontextmanager
async def a_worker(
    storage: Storage | Meddled,
    registry: HandlerRegistry,
    *,
    open_storage: Callable[[], Any],
    job_types: Collection[str] | None = None,
    isolate: Isolate | None = None,
    worker_id: str = "ann",
    observer: Observer | None = None,
    **settings: Any,
) -> AsyncIterator[Stoppable]:
    """Runs until the block ends; what it still holds is then given back at once."""
    worker = Worker(
        WorkerSettings(**{"concurrency": 10, "poll_seconds": 0.2, **settings}),
        storage,
        registry,
        worker_id=worker_id,
        open_storage=open_storage,
        job_types=job_types,
        isolate=isolate,
        observer=observer,
    )
    stoppable = Stoppable(worker)
    started = asyncio.create_task(worker.started.wait())
    await asyncio.wait({started, stoppable.running}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    try:
        yield stoppable
    finally:
        stoppable.hurry.set()
        await stoppable.running


async def enqueue(storage: Storage, job_type: str, count: int = 1, **fields: Any) -> list[UUID]:
    """Ready jobs of one type, in order."""
    new = [NewJob(id=new_id(), job_type=job_type, **fields) for _ in range(count)]
    await storage.jobs(NAMESPACE).enqueue([[job] for job in new])
    return [job.id for job in new]


async def job_that(storage: Storage, job_id: UUID, condition: Callable[[Job], object], what: str) -> Job:
    """The job, once the condition holds of it."""

    async def look() -> Job | None:
        job = await storage.jobs(NAMESPACE).get(job_id)
        return job if condition(job) else None

    return await eventually(what, look)


async def ended(storage: Storage, job_id: UUID) -> Job:
    """The job, once it is terminal."""
    return await job_that(storage, job_id, lambda job: job.status.is_terminal, "the job has ended")


async def completed(storage: Storage, job_ids: Collection[UUID]) -> None:
    """Wait until all have ended, and see that they were completed."""
    left = list(job_ids)

    async def look() -> bool | None:
        left[:] = set(left) - await storage.jobs(NAMESPACE).ended(left)
        return True if not left else None

    await eventually("all jobs have ended", look, seconds=30)
    for job_id in job_ids:
        assert (await storage.jobs(NAMESPACE).get(job_id)).status is JobStatus.COMPLETED
