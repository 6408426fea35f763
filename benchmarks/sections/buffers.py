"""Buffers that a claimed, a completed and a failed job cost, on an empty table and behind a backlog.

Each statement is executed a few times with a batch of 100, and the first execution is left out: it meets pages that
nobody has read since they were written, and sets their hint bits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from benchmarks.backlog import fill
from benchmarks.drains import enqueue
from benchmarks.figures import Figure, median
from benchmarks.plans import Explained, explained
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import say
from dataqueue.storage.postgres.low_water import START

_BATCH: Final = 100
_TIMES: Final = 6
_READY: Final = 3000
_GOAL: Final = 1.3
_HELD: Final = "select id, invocation from dataqueue.job where status = 'processing' order by seq limit $1"

Measured = dict[str, tuple[float, str]]
"""By verb: buffers a job, and the last plan."""


async def measure(ground: PostgresGround, *, quick: bool) -> list[Figure]:
    """First on a table that holds ready jobs alone, then behind a backlog of three kinds."""
    rows = 100_000 if quick else 1_000_000
    empty = await _on(ground, backlog=0)
    say(f"buffers: empty table {_shown(empty)}; filling {rows:,} rows of each kind")
    full = await _on(ground, backlog=rows)
    say(f"buffers: behind the backlog {_shown(full)}")
    for verb, (_, plan) in full.items():
        print(f"\n{verb}, batch of {_BATCH}, behind the backlog:\n{plan}")
    return [
        Figure(
            what=f"buffers per job, {verb}, behind 3 x {rows:,} rows",
            value=f"{full[verb][0]:.1f}",
            reference=f"empty table: {empty[verb][0]:.1f}",
            ratio=(ratio := full[verb][0] / empty[verb][0]),
            goal=f"within {_GOAL} times",
            met=ratio <= _GOAL,
        )
        for verb in empty
    ]


async def _on(ground: PostgresGround, *, backlog: int) -> Measured:
    url = await ground.database()
    if backlog:
        async with ground.connected(url) as connection:
            await fill(connection, rows_each=backlog)
    await enqueue(url, _READY)
    await ground.settle(url)
    try:
        async with ground.connected(url) as connection:
            return await _measured(connection)
    finally:
        await ground.drop(url)


async def _measured(connection: asyncpg.Connection) -> Measured:
    async def claim() -> Explained:
        return await explained(
            connection,
            "jobs/claim",
            namespace_id=1,
            job_types=["noop"],
            ranks=[START.rank],
            run_ats=[START.run_at],
            seqs=[START.seq],
            one_type=True,
            limit=_BATCH,
            worker_id="bench",
            lease=30.0,
            at=None,
        )

    async def complete() -> Explained:
        return await explained(connection, "jobs/complete", **await _leases(connection), outputs=[None] * _BATCH)

    async def fail(delay: float | None) -> Explained:
        failures = {
            "messages": ["the other side did not answer"] * _BATCH,
            "types": ["TimeoutError"] * _BATCH,
            "reasons": ["handler_error"] * _BATCH,
            "delays": [delay] * _BATCH,
        }
        return await explained(connection, "jobs/fail", **await _leases(connection), **failures)

    found = {"claim": await _repeated(claim), "complete": await _repeated(complete)}
    await _repeated(claim)
    found["fail, to be retried"] = await _repeated(lambda: fail(60.0))
    await _repeated(claim)
    found["fail, for good"] = await _repeated(lambda: fail(None))
    return found


async def _repeated(execute: Callable[[], Awaitable[Explained]]) -> tuple[float, str]:
    executions = [await execute() for _ in range(_TIMES)]
    return median([each.buffers / _BATCH for each in executions[1:]]), executions[-1].plan


async def _leases(connection: asyncpg.Connection) -> dict[str, Any]:
    rows = await connection.fetch(_HELD, _BATCH)
    return {
        "namespace_id": 1,
        "ids": [row["id"] for row in rows],
        "invocations": [row["invocation"] for row in rows],
        "at": None,
    }


def _shown(measured: Measured) -> str:
    return ", ".join(f"{verb} {buffers:.1f}" for verb, (buffers, _) in measured.items())
