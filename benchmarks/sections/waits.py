"""Durable handlers: many that wake at the same instant, beside as many jobs that never waited."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from benchmarks.drains import TUNED_CONCURRENCY, drain
from benchmarks.figures import Figure, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import Process, resident_bytes, say
from benchmarks.quiet import quiet_rounds
from dataqueue.domain.events import EventFilter, EventName
from dataqueue.domain.job import JobStatus, Json, NewJob
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage

_CHUNK: Final = 1000
_GOAL: Final = 0.7
_TO_PARK: Final = timedelta(seconds=12)
_LOOK: Final = 0.1


@dataclass(frozen=True)
class _Round:
    plain: float
    woken: float
    memory: float
    """MiB that the worker grew by while the jobs waited."""


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    jobs, rounds = (10_000, 2) if quick else (10_000, 5)

    async def play() -> _Round:
        plain = (await drain(ground, jobs)).per_second
        woken, memory = await _wake(ground, jobs)
        say(f"waits: {woken:,.0f}/s of {jobs:,} that wake at once, {plain:,.0f}/s of as many that never waited")
        return _Round(plain, woken, memory)

    played = await quiet_rounds(ground, play, wanted=rounds)
    woken, plain = [each.woken for each in played], [each.plain for each in played]
    ratio = ratios(woken, plain)
    return [
        Figure(
            what=f"{jobs:,} jobs that wake at one instant, jobs/s from that instant on",
            value=spread(woken),
            reference=f"drain of as many plain jobs: {spread(plain)}",
            ratio=ratio,
            goal=f"at least {_GOAL}",
            met=ratio >= _GOAL,
        ),
        Figure(
            what=f"memory of the worker, grown while {jobs:,} jobs came to their wait, MiB",
            value=spread([each.memory for each in played], ".1f"),
        ),
    ]


async def _wake(ground: Ground, jobs: int) -> tuple[float, float]:
    url = await ground.database()
    async with AsyncExitStack() as stack:
        storage = open_storage(url, pool_size=2)
        stack.push_async_callback(storage.close)
        worker = await ground.worker(url, concurrency=TUNED_CONCURRENCY)
        before = resident_bytes(worker.pid)
        instant = datetime.now(UTC) + _TO_PARK
        await _enqueue(storage, jobs, instant)
        await _reach(storage, worker, JobStatus.WAITING, jobs)
        if datetime.now(UTC) > instant:
            raise RuntimeError(f"{jobs} jobs were not parked within {_TO_PARK}")
        grown = (resident_bytes(worker.pid) - before) / (1 << 20)
        await ground.settle(url)
        await _reach(storage, worker, JobStatus.COMPLETED, jobs)
        took = (await _last_completion(storage) - instant).total_seconds()
        await asyncio.to_thread(worker.stop)
    await ground.drop(url)
    return jobs / took, grown


async def _enqueue(storage: Storage, jobs: int, instant: datetime) -> None:
    payload = Json(orjson.dumps({"until": instant.isoformat()}).decode())
    for start in range(0, jobs, _CHUNK):
        made = [NewJob(id=new_id(), job_type="nap", payload=payload) for _ in range(min(_CHUNK, jobs - start))]
        await storage.jobs("default").enqueue([made])


async def _reach(storage: Storage, worker: Process, status: JobStatus, jobs: int) -> None:
    while (await storage.tally("default").stats()).by_status[status] < jobs:
        worker.insist_alive()
        await asyncio.sleep(_LOOK)


async def _last_completion(storage: Storage) -> datetime:
    log = storage.events("default")
    newest = (await log.bounds()).newest
    matching = EventFilter(events=(EventName.COMPLETED,))
    after, last = 0, datetime.min.replace(tzinfo=UTC)
    while after < newest:
        page = await log.page(matching, after=after, until=newest, limit=1000)
        last = max([last, *(event.at for event in page.events)])
        after = page.position
    return last
