"""pgqueuer, run as its documentation says, for comparison: `python -m benchmarks.pgqueuer_worker fill | drain N BATCH`.

asyncpg and uvloop, its own schema at its default durability, one worker, an entrypoint that does nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from typing import Any, Final

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode
from sqlalchemy.engine import make_url

_CHUNK: Final = 1000
_CONNECTIONS: Final = 4


def _place() -> dict[str, Any]:
    url = make_url(os.environ["BENCH_URL"])
    return {
        "host": url.query["host"],
        "port": int(str(url.query["port"])),
        "user": url.username,
        "database": url.database,
    }


async def fill(jobs: int) -> None:
    """Install its schema and enqueue jobs."""
    queries = Queries.from_asyncpg_connection(await asyncpg.connect(**_place()))
    await queries.install()
    for start in range(0, jobs, _CHUNK):
        size = min(_CHUNK, jobs - start)
        await queries.enqueue(["noop"] * size, [b"{}"] * size, [0] * size)


async def drain(jobs: int, batch: int) -> dict[str, float]:
    """Drain the queue; seconds and CPU seconds from the first job's start to the last one's record."""
    # A pool: with one connection its claims and reports would wait for each other.
    pool = await asyncpg.create_pool(**_place(), min_size=_CONNECTIONS, max_size=_CONNECTIONS)
    queue = PgQueuer.from_asyncpg_pool(pool)
    begun: list[tuple[float, float]] = []

    @queue.entrypoint("noop")
    async def noop(job: object) -> None:
        if not begun:
            begun.append((time.time(), time.process_time()))

    # Both intervals beyond the run: their work would be counted against it.
    await queue.qm.run(
        batch_size=batch,
        mode=QueueExecutionMode.drain,
        dequeue_timeout=timedelta(seconds=1),
        heartbeat_timeout=timedelta(minutes=5),
    )
    cpu = time.process_time() - begun[0][1]
    count, ended = await pool.fetchrow(
        "select count(*), extract(epoch from max(created))::float8 from pgqueuer_log where status = 'successful'"
    )
    assert count == jobs, f"pgqueuer recorded {count} of {jobs} jobs"
    return {"seconds": ended - begun[0][0], "cpu": cpu}


def main() -> None:
    what, jobs, *batch = sys.argv[1:]
    if what == "fill":
        uvloop.run(fill(int(jobs)))
    else:
        print(json.dumps(uvloop.run(drain(int(jobs), int(batch[0])))))


if __name__ == "__main__":
    main()
