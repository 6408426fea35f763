"""Cancelling a great many jobs while others come and go: what those others notice of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from benchmarks.drains import enqueue
from benchmarks.figures import Figure
from benchmarks.loading import request
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import say

_A_SECOND: Final = 5000
_BATCH: Final = 100
_CALM: Final = 10.0
_WARM_UP: Final = 2.0
_CONCURRENCY: Final = 200
_GOAL: Final = 0.5
_PATIENCE: Final = 60.0
_JOBS: Final = b'{"jobs":[%b]}' % b",".join([b'{"job_type":"noop"}'] * _BATCH)
_CANCEL: Final = b'{"filter":{"job_type":"doomed"}}'
_COMPLETED: Final = """
    select count(*), coalesce(max(extract(epoch from ended_at - before))::float8, 0) as gap from (
        select ended_at, lag(ended_at) over (order by ended_at) as before from dataqueue.job j
        join dataqueue.job_type t on t.id = j.job_type_id
        where t.name = 'noop' and ended_at >= $1 and ended_at < $2
    ) as ended"""
_NOT_AS_WANTED: Final = """
    select count(*) from dataqueue.job j join dataqueue.job_type t on t.id = j.job_type_id
    where t.name = $1 and (j.status <> $2
        or (select count(*) from dataqueue.event e where e.job_id = j.id and e.name = 'job:' || $2) <> 1)"""
_OF_TYPE: Final = """
    select count(*) from dataqueue.job j join dataqueue.job_type t on t.id = j.job_type_id where t.name = $1"""


class Drained(NamedTuple):
    """What was completed in a span of time, a second, and the longest time without a completion in it."""

    seconds: float
    per_second: float
    gap: float


async def measure(ground: PostgresGround, *, quick: bool) -> list[Figure]:
    """A steady stream of jobs through the API and a worker; first alone, then with the cancel."""
    doomed = 100_000 if quick else 500_000
    url = await ground.database()
    await enqueue(url, doomed, "doomed")
    await ground.settle(url)
    api, port = await ground.api(url)
    worker = await ground.worker(url, concurrency=_CONCURRENCY)
    stream = _Stream(port)
    streaming = asyncio.create_task(stream.run())
    await asyncio.sleep(_WARM_UP)
    async with ground.connected(url) as connection:

        async def while_doing(act: Callable[[], Awaitable[None]]) -> tuple[datetime, datetime]:
            began = await connection.fetchval("select clock_timestamp()")
            await act()
            return began, await connection.fetchval("select clock_timestamp()")

        calm = await while_doing(lambda: asyncio.sleep(_CALM))
        say(f"bulk: {doomed:,} jobs are cancelled now")
        cancelled: dict[str, int] = {}

        async def cancel() -> None:
            cancelled.update(json.loads(await asyncio.wait_for(_post(port, "/v1/jobs/cancel", _CANCEL), 600)))

        busy = await while_doing(cancel)
        stream.stop()
        await streaming
        await _drained(connection)
        alone, beside = await _found(connection, calm), await _found(connection, busy)
        wrong = {
            job_type: await connection.fetchval(_NOT_AS_WANTED, job_type, status)
            for job_type, status in (("noop", "completed"), ("doomed", "cancelled"))
        }
        wrong["lost"] = stream.added - await connection.fetchval(_OF_TYPE, "noop")
    worker.stop()
    api.stop()
    await ground.drop(url)
    return _figures(doomed, cancelled, alone, beside, wrong=wrong, took=stream.took)


class _Stream:
    """Batches at a steady pace over one connection; what falls behind is caught up."""

    def __init__(self, port: int) -> None:
        self._port, self._is_over = port, False
        self.added = 0
        self.took: list[float] = []

    def stop(self) -> None:
        self._is_over = True

    async def run(self) -> None:
        """RuntimeError at the first answer that is not a 201."""
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not self._is_over:
            await asyncio.sleep(max(0.0, started + self.added / _A_SECOND - time.perf_counter()))
            sent = time.perf_counter()
            writer.write(request("/v1/jobs/batch", _JOBS))
            await _answer(reader, 201)
            self.took.append(time.perf_counter() - sent)
            self.added += _BATCH
        writer.close()


async def _post(port: int, path: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(path, body))
    try:
        return await _answer(reader, 200)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, status: int) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    if not head.startswith(b"HTTP/1.1 %d" % status):
        raise RuntimeError(f"the API answered {head.partition(b' ')[2][:3]!r} {body!r}")
    return body


async def _drained(connection: Any) -> None:
    """Wait for the worker, and no longer than it should need: the figures say what is missing."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if not await connection.fetchval(_NOT_AS_WANTED, "noop", "completed"):
            return
        await asyncio.sleep(0.5)


async def _found(connection: Any, span: tuple[datetime, datetime]) -> Drained:
    count, gap = await connection.fetchrow(_COMPLETED, *span)
    seconds = (span[1] - span[0]).total_seconds()
    return Drained(seconds, count / seconds, gap)


def _figures(
    doomed: int, cancelled: dict[str, int], alone: Drained, beside: Drained, *, wrong: dict[str, int], took: list[float]
) -> list[Figure]:
    ratio = beside.per_second / alone.per_second
    return [
        Figure(
            what=f"POST /v1/jobs/cancel of {doomed:,} jobs while {_A_SECOND:,}/s come and go, jobs/s",
            value=f"{doomed / beside.seconds:,.0f} ({beside.seconds:.1f} s)",
            reference=f"answered {cancelled}",
            goal="all of them",
            met=cancelled == {"matched": doomed, "changed": doomed},
        ),
        Figure(
            what="completed beside it, jobs/s",
            value=f"{beside.per_second:,.0f}",
            reference=f"before: {alone.per_second:,.0f}",
            ratio=ratio,
            goal=f"at least {_GOAL:.0%}",
            met=ratio >= _GOAL,
        ),
        Figure(
            what="longest time without a completion beside it, ms",
            value=f"{beside.gap * 1000:.0f}",
            reference=f"before: {alone.gap * 1000:.0f}",
        ),
        Figure(
            what="slowest batch accepted, ms, of " + f"{len(took):,}",
            value=f"{max(took) * 1000:.0f}",
        ),
        Figure(
            what="jobs lost, not completed, or completed twice; doomed ones not cancelled just once",
            value=f"{wrong['lost']}, {wrong['noop']}; {wrong['doomed']}",
            goal="none",
            met=not any(wrong.values()),
        ),
    ]
