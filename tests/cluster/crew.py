"""Workers and callers at work in several namespaces at once, and what they remember of it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import UUID

from dataqueue import JobContext, JobSpec
from dataqueue.domain.events import EventFilter, EventName
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.errors import StorageUnavailable
from dataqueue.queue import Queue
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import Storage

_SETTINGS: Final = WorkerSettings(lease_seconds=3)
_AT_ONCE: Final = 5
_PAUSE: Final = 0.01


class Crew:
    """In each namespace a worker and somebody who adds jobs, for as long as they are told to."""

    def __init__(self, storage: Storage, queues: dict[str, Queue]) -> None:
        self._storage, self._queues = storage, queues
        self.added: defaultdict[str, list[UUID]] = defaultdict(list)
        self.runs: Counter[UUID] = Counter()
        self.refusals: defaultdict[str, list[BaseException]] = defaultdict(list)
        self.troubles: list[BaseException] = []

    def start(self) -> None:
        """Start the workers."""

        async def note(payload: object, ctx: JobContext) -> None:
            self.runs[ctx.job.id] += 1

        for queue in self._queues.values():
            processor = queue.create_processor(
                {"noted": note}, concurrency=20, poll_interval=1, on_error=self.troubles.append
            )
            processor.start_in_background()

    async def add_some(self, namespace: str, count: int) -> None:
        """Add so many jobs."""
        answers = await self._queues[namespace].add_jobs([JobSpec("noted") for _ in range(count)])
        self.added[namespace] += [one.id for one in answers]

    @asynccontextmanager
    async def adding(self) -> AsyncIterator[None]:
        """Add jobs to every namespace during the block; what is refused is not tried again."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as adders:
            for name in self._queues:
                adders.create_task(self._add(name, over))
            try:
                yield
            finally:
                over.set()

    async def _add(self, namespace: str, over: asyncio.Event) -> None:
        while not over.is_set():
            try:
                await self.add_some(namespace, _AT_ONCE)
            except Exception as error:
                self.refusals[namespace].append(error)
            await asyncio.sleep(_PAUSE)

    def has_added(self, namespace: str, count: int) -> Callable[[], bool]:
        """A condition: so many more jobs than now."""
        wanted = len(self.added[namespace]) + count
        return lambda: len(self.added[namespace]) >= wanted

    async def is_done(self) -> bool:
        """Whether no namespace has a job that has not ended."""
        try:
            counts = [(await self._storage.tally(name).stats()).by_status for name in self._queues]
        except StorageUnavailable:
            # On a connection that nobody had used since its node died.
            return False
        return not any(one[status] for one in counts for status in (JobStatus.PENDING, JobStatus.PROCESSING))

    async def completions(self, namespace: str) -> Counter[UUID]:
        """How often the log says of each job that it was completed."""
        log = self._storage.events(namespace)
        bounds, found = await log.bounds(), Counter[UUID]()
        position = bounds.oldest
        while position < bounds.newest:
            page = await log.page(
                EventFilter(events=(EventName.COMPLETED,)), after=position, until=bounds.newest, limit=1000
            )
            found.update(event.job_id for event in page.events if event.job_id is not None)
            position = page.position
        return found

    async def were_completed_once(self, namespace: str, jobs: Collection[UUID]) -> None:
        """Insist that each of these jobs is completed, was so once, and that its handler ran."""
        completions = await self.completions(namespace)
        wrong = [job for job in jobs if completions[job] != 1 or not self.runs[job]]
        assert not wrong, f"{len(wrong)} of {len(jobs)} jobs of {namespace}: {[completions[job] for job in wrong[:9]]}"


async def make_namespaces(storage: Storage, names: Sequence[str]) -> None:
    for name in names:
        digest = hashlib.sha256(name.encode()).digest()
        await storage.keys.create(name=name, namespace=name, scopes=frozenset({Scope.READ}), digest=digest, prefix="")


@asynccontextmanager
async def crew(url: str, storage: Storage, names: Sequence[str]) -> AsyncIterator[Crew]:
    """Namespaces of these names with a crew, not yet at work."""
    await make_namespaces(storage, names)
    async with AsyncExitStack() as stack:
        yield Crew(
            storage,
            {
                name: await stack.enter_async_context(Queue.open(url, namespace=name, settings=_SETTINGS))
                for name in names
            },
        )


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, *, within: float = 30) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within
    while not (await held if isinstance(held := condition(), Awaitable) else held):
        assert time.monotonic() < deadline, f"after {within:g} s still not: {what}"
        await asyncio.sleep(0.05)
