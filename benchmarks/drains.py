"""Draining a queue that was filled beforehand: ours, and others'. All are timed by what they recorded."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.ground import Ground
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import Process
from benchmarks.redis_ground import RedisGround
from dataqueue.domain.job import NewJob
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Hint

TUNED_CONCURRENCY: Final = 500
PGQUEUER_BATCH: Final = 500
RIVALS: Final = {"saq": 100, "arq": 100, "streaq": 100}
"""Slots. Each was the fastest of a handful that were tried; see docs/performance.md."""

_CHUNK: Final = 1000
_LOOK: Final = 0.1
_AFTER_ALL: Final = 0.2
_PATIENCE: Final = 40.0  # longer than a lease, so that what a lost worker held is seen to come back


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What it took. CPU in seconds; `asked`: round trips, as the server counts them."""

    jobs: int
    seconds: float
    worker_cpu: float
    server_cpu: float
    asked: int

    @property
    def per_second(self) -> float:
        return self.jobs / self.seconds

    @property
    def worker_us(self) -> float:
        return self.worker_cpu / self.jobs * 1e6

    @property
    def server_us(self) -> float:
        return self.server_cpu / self.jobs * 1e6

    @property
    def trips(self) -> float:
        return self.asked / self.jobs


async def drain(
    ground: Ground,
    jobs: int,
    *,
    concurrency: int = TUNED_CONCURRENCY,
    processes: int = 1,
    held: Callable[[str], AbstractAsyncContextManager[None]] | None = None,
) -> Drained:
    """Drain `jobs` jobs that do nothing; `held`: something that is held open from before they are enqueued."""
    url = await ground.database()
    async with nullcontext() if held is None else held(url):
        await enqueue(url, jobs)
        await ground.settle(url)
        await _pause(url, paused=True)
        worker = await ground.worker(url, concurrency=concurrency, processes=processes)
        async with ground.watching(url) as events:
            asked, worker_cpu, server_cpu = await ground.trips(url), worker.cpu_seconds(), ground.server_cpu()
            goal = await events() + 2 * jobs
            await _pause(url, paused=False)
            await _reached(events, goal, worker)
            await asyncio.sleep(_AFTER_ALL)
            worker_cpu, server_cpu = worker.cpu_seconds() - worker_cpu, ground.server_cpu() - server_cpu
        await asyncio.to_thread(worker.stop)
        asked = await ground.trips(url) - asked
        done, seconds, written = await ground.recorded(url)
    await ground.drop(url)
    if (done, written) != (jobs, 3 * jobs):
        raise RuntimeError(f"{done} of {jobs} jobs were completed, with {written} events")
    return Drained(jobs=jobs, seconds=seconds, worker_cpu=worker_cpu, server_cpu=server_cpu, asked=asked)


def has_pgqueuer() -> bool:
    return find_spec("pgqueuer") is not None


async def drain_pgqueuer(ground: PostgresGround, jobs: int, *, batch: int = PGQUEUER_BATCH) -> Drained:
    """The same by pgqueuer's worker."""
    url = await ground.database(migrated=False)
    await ground.tool("benchmarks.pgqueuer_worker", "fill", str(jobs), BENCH_URL=url).output()
    await ground.settle(url)
    asked, server_cpu = await ground.trips(url), ground.server_cpu()
    worker = ground.tool("benchmarks.pgqueuer_worker", "drain", str(jobs), str(batch), BENCH_URL=url)
    found = json.loads(await worker.output())
    asked, server_cpu = await ground.trips(url) - asked, ground.server_cpu() - server_cpu
    await ground.drop(url)
    return Drained(jobs=jobs, seconds=found["seconds"], worker_cpu=found["cpu"], server_cpu=server_cpu, asked=asked)


def rivals_python() -> Path | None:
    """The Python of the environment that `make rivals` makes; None: it is not there."""
    python = Path(sys.prefix) / "rivals" / "bin" / "python"
    return python if python.exists() else None


async def drain_rival(ground: RedisGround, kind: str, jobs: int) -> Drained:
    """The same by the worker of another queue on Redis."""
    url, slots, python = await ground.database(), str(RIVALS[kind]), rivals_python()
    await ground.tool("benchmarks.rivals", kind, "fill", str(jobs), slots, python=python, BENCH_URL=url).output()
    server_cpu = ground.server_cpu()
    worker = ground.tool("benchmarks.rivals", kind, "drain", str(jobs), slots, python=python, BENCH_URL=url)
    found = json.loads(await worker.output())
    server_cpu = ground.server_cpu() - server_cpu
    await ground.drop(url)
    return Drained(jobs=jobs, seconds=found["seconds"], worker_cpu=found["cpu"], server_cpu=server_cpu, asked=0)


async def enqueue(url: str, jobs: int, job_type: str = "noop") -> None:
    """Enqueue jobs as the API's shared writes do."""
    storage = open_storage(url, pool_size=2)
    try:
        for start in range(0, jobs, _CHUNK):
            made = [NewJob(id=new_id(), job_type=job_type) for _ in range(min(_CHUNK, jobs - start))]
            await storage.jobs("default").enqueue([made])
    finally:
        await storage.close()


async def _pause(url: str, *, paused: bool) -> None:
    """Hold back a worker that is up and idle, or let it begin."""
    storage = open_storage(url, pool_size=2)
    try:
        await storage.job_types("default").pause("noop", paused=paused)
        if not paused:
            await storage.notifier.publish(Hint("ready", "default", ("noop",)))
    finally:
        await storage.close()


async def _reached(events: Callable[[], Awaitable[int]], goal: int, worker: Process) -> None:
    """Wait for so many events. RuntimeError when the worker dies, or does nothing for long."""
    seen, since = 0, time.monotonic()
    while (now := await events()) < goal:
        worker.insist_alive()
        if now > seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() > since + _PATIENCE:
            raise RuntimeError(f"the drain stands still, {goal - now} events before its end")
        await asyncio.sleep(_LOOK)
