"""A look into a storage from outside of all processes, through the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from dataqueue.domain.events import Event, EventFilter
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Job
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage

NAMESPACE: Final = "default"
PAGE: Final = 1000

T = TypeVar("T")


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Storage]:
    """A storage of the test's own, on this event loop."""
    storage = open_storage(url, pool_size=2)
    yield storage
    await storage.close()


def jobs_in(url: str, matching: JobFilter | None = None) -> list[Job]:
    """All jobs that match, newest first."""

    async def read(storage: Storage) -> list[Job]:
        found: list[Job] = []
        before: Position | None = None
        while True:
            page = await storage.jobs(NAMESPACE).page(matching or JobFilter(), before=before, limit=PAGE)
            found += page.jobs
            if page.next is None:
                return found
            before = page.next

    return _run(url, read)


def events_in(url: str) -> list[Event]:
    """The whole log."""
    return _run(url, log_of)


def ended_in(url: str) -> int:
    """How many jobs have come to their end."""

    async def count(storage: Storage) -> int:
        by_status = (await storage.tally(NAMESPACE).stats()).by_status
        return sum(number for status, number in by_status.items() if status.is_terminal)

    return _run(url, count)


async def log_of(storage: Storage) -> list[Event]:
    log, found = storage.events(NAMESPACE), list[Event]()
    bounds = await log.bounds()
    position = bounds.oldest
    while position < bounds.newest:
        page = await log.page(EventFilter(), after=position, until=bounds.newest, limit=PAGE)
        found += page.events
        position = page.position
    return found


def _run(url: str, work: Callable[[Storage], Awaitable[T]]) -> T:
    async def run() -> T:
        async with looking(url) as storage:
            return await work(storage)

    return asyncio.run(run())
