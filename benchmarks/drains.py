"""Draining a queue that was filled beforehand: ours, and pgqueuer's. Both are timed by what they recorded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from benchmarks.ground import Ground
from benchmarks.processes import Process
from dataqueue.domain.job import NewJob
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Hint

TUNED_CONCURRENCY: Final = 500
PGQUEUER_BATCH: Final = 500
"""Both were the fastest of a handful that were tried; see docs/performance.md."""

_CHUNK: Final = 1000
_LOOK: Final = 0.1
_AFTER_ALL: Final = 0.2
_PATIENCE: Final = 40.0  # longer than a lease, so that what a lost worker held is seen to come back


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What it took. CPU in seconds; `commits`: transactions, each a round trip or more."""

    jobs: int
    seconds: float
    worker_cpu: float
    postgres_cpu: float
    commits: int

    @property
    def per_second(self) -> float:
        return self.jobs / self.seconds

    @property
    def worker_us(self) -> float:
        return self.worker_cpu / self.jobs * 1e6

    @property
    def postgres_us(self) -> float:
        return self.postgres_cpu / self.jobs * 1e6

    @property
    def trips(self) -> float:
        return self.commits / self.jobs


async def drain(
    ground: Ground, jobs: int, *, concurrency: int = TUNED_CONCURRENCY, processes: int = 1, snapshot: bool = False
) -> Drained:
    """Drain `jobs` jobs that do nothing; `snapshot` is held open from before they are enqueued."""
    url = await ground.database()
    async with _snapshot_of(ground, url) if snapshot else nullcontext():
        await enqueue(url, jobs)
        await ground.settle(url)
        async with ground.connected(url) as connection:
            await connection.execute("update dataqueue.job_type set paused = true")
            worker = await ground.worker(url, concurrency=concurrency, processes=processes)
            commits, worker_cpu, postgres_cpu = await ground.commits(url), worker.cpu_seconds(), ground.postgres_cpu()
            # One transaction, so that looking does not count: sequences show what is committed and what is not.
            async with connection.transaction():
                goal = await _events(connection) + 2 * jobs
                await _start(ground, url)
                await _reached(connection, goal, worker)
            await asyncio.sleep(_AFTER_ALL)
            worker_cpu, postgres_cpu = worker.cpu_seconds() - worker_cpu, ground.postgres_cpu() - postgres_cpu
            await asyncio.to_thread(worker.stop)
            commits = await ground.commits(url) - commits
            seconds = await _seconds(connection, jobs)
    await ground.drop(url)
    return Drained(jobs=jobs, seconds=seconds, worker_cpu=worker_cpu, postgres_cpu=postgres_cpu, commits=commits)


def has_pgqueuer() -> bool:
    return find_spec("pgqueuer") is not None


async def drain_pgqueuer(ground: Ground, jobs: int, *, batch: int = PGQUEUER_BATCH) -> Drained:
    """The same by pgqueuer's worker."""
    url = await ground.database(migrated=False)
    await ground.tool("benchmarks.pgqueuer_worker", "fill", str(jobs), BENCH_URL=url).output()
    await ground.settle(url)
    commits, postgres_cpu = await ground.commits(url), ground.postgres_cpu()
    worker = ground.tool("benchmarks.pgqueuer_worker", "drain", str(jobs), str(batch), BENCH_URL=url)
    found = json.loads(await worker.output())
    commits, postgres_cpu = await ground.commits(url) - commits, ground.postgres_cpu() - postgres_cpu
    await ground.drop(url)
    return Drained(
        jobs=jobs, seconds=found["seconds"], worker_cpu=found["cpu"], postgres_cpu=postgres_cpu, commits=commits
    )


async def enqueue(url: str, jobs: int, job_type: str = "noop") -> None:
    """Enqueue jobs as the API's shared writes do."""
    storage = open_storage(url, pool_size=2)
    try:
        for start in range(0, jobs, _CHUNK):
            made = [NewJob(id=new_id(), job_type=job_type) for _ in range(min(_CHUNK, jobs - start))]
            await storage.jobs("default").enqueue([made])
    finally:
        await storage.close()


async def _start(ground: Ground, url: str) -> None:
    """Let the worker, which is up and idle, begin."""
    async with ground.connected(url) as connection:
        await connection.execute("update dataqueue.job_type set paused = false")
    storage = open_storage(url, pool_size=2)
    try:
        await storage.notifier.publish(Hint("ready", "default", ("noop",)))
    finally:
        await storage.close()


async def _reached(connection: Any, goal: int, worker: Process) -> None:
    """Wait for so many events. RuntimeError when the worker dies, or does nothing for long."""
    seen, since = 0, time.monotonic()
    while (now := await _events(connection)) < goal:
        worker.insist_alive()
        if now > seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() > since + _PATIENCE:
            raise RuntimeError(f"the drain stands still, {goal - now} events before its end")
        await asyncio.sleep(_LOOK)


async def _events(connection: Any) -> int:
    """How many events were written; three a job that is enqueued, claimed and completed."""
    return int(await connection.fetchval("select last_value from dataqueue.event_id_seq"))


async def _seconds(connection: Any, jobs: int) -> float:
    """From the first claim to the last completion. RuntimeError unless all was recorded once."""
    done, seconds, events = await connection.fetchrow(
        "select count(*), extract(epoch from max(ended_at) - min(started_at))::float8,"
        " (select count(*) from dataqueue.event) from dataqueue.job where status = 'completed'"
    )
    if (done, events) != (jobs, 3 * jobs):
        raise RuntimeError(f"{done} of {jobs} jobs were completed, with {events} events")
    return float(seconds)


@asynccontextmanager
async def _snapshot_of(ground: Ground, url: str) -> AsyncIterator[None]:
    """A repeatable read transaction that has read something, as pg_dump's."""
    async with ground.connected(url) as connection, connection.transaction(isolation="repeatable_read"):
        await connection.fetchval("select count(*) from dataqueue.job")
        yield
