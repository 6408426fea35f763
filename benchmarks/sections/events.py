"""From an event's statement to its readers, and what many readers cost the API."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.figures import Figure, median, percentile
from benchmarks.loading import request
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import Process, resident_bytes, say

_FOREIGN: Final = 2.0
_ONE_JOB: Final = 500
_EVERYTHING: Final = 5
_A_SECOND: Final = 1000
_BATCH: Final = 20
_GOAL_MS: Final = 50
_AT: Final = re.compile(rb'"at":"([^"]+)"')
_SETTLE: Final = 5.0


class _Follower:
    """An open stream, and how long after its statement each event arrived (ms)."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.opened = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def follow(self, port: int, query: str = "") -> None:
        self.task = asyncio.create_task(self._read(port, query))

    async def _read(self, port: int, query: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(f"GET /v1/events{query} HTTP/1.1\r\nhost: queue\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"data: ") and (found := _AT.search(line)):
                    at = datetime.fromisoformat(found[1].decode())
                    self.delays.append((datetime.now(UTC) - at).total_seconds() * 1000)
                elif line.startswith(b"id: "):
                    self.opened.set()
        finally:
            writer.close()


async def measure(ground: PostgresGround, *, quick: bool) -> list[Figure]:
    """Jobs one by one with a worker; the same while somebody else's transaction is open; then many readers."""
    url = await ground.database()
    api, port = await ground.api(url)
    worker = await ground.worker(url, concurrency=50)
    quiet = await _delays(port, jobs=30 if quick else 100)
    async with ground.connected(url) as connection, connection.transaction():
        await connection.execute("select pg_current_xact_id()")
        held = asyncio.create_task(_delays(port, jobs=10))
        await asyncio.sleep(_FOREIGN)
    blocked = await held
    worker.stop()
    many = await _many(ground, api, port, seconds=5 if quick else 15)
    api.stop()
    return [
        Figure(
            what="statement to client, one job at a time, its three events, median, ms",
            value=f"{median(quiet):.1f} (95th percentile {percentile(quiet, 95):.1f}, longest {max(quiet):.1f})",
            goal=f"under {_GOAL_MS}",
            met=median(quiet) < _GOAL_MS,
        ),
        Figure(
            what=f"the same while a foreign transaction is open for {_FOREIGN:g} s, longest, ms",
            value=f"{max(blocked):.0f}",
            reference="by design: the stream waits for it",
        ),
        *many,
    ]


async def _delays(port: int, *, jobs: int) -> list[float]:
    follower = _Follower()
    follower.follow(port)
    await follower.opened.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(jobs):
        await asyncio.sleep(random.uniform(0.05, 0.2))
        await _post(reader, writer, "/v1/jobs", {"job_type": "noop"})
    async with asyncio.timeout(_SETTLE + _FOREIGN):
        while len(follower.delays) < 3 * jobs:  # noqa: ASYNC110 - to be woken by each would cost what is measured
            await asyncio.sleep(0.01)
    writer.close()
    assert follower.task is not None
    follower.task.cancel()
    return follower.delays


async def _many(ground: PostgresGround, api: Process, port: int, *, seconds: int) -> list[Figure]:
    """One load twice: with nobody who reads, and with everybody."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    jobs = await _post(reader, writer, "/v1/jobs/batch", {"jobs": [{"job_type": "watched"}] * _ONE_JOB})
    say("events: the load without readers")
    alone = await _load(api, reader, writer, seconds)
    before = resident_bytes(api.pid)
    single, every = [_Follower() for _ in range(_ONE_JOB)], [_Follower() for _ in range(_EVERYTHING)]
    for follower, job in zip(single, jobs["jobs"], strict=True):
        follower.follow(port, f"?job_id={job['id']}")
    for follower in every:
        follower.follow(port)
    await asyncio.gather(*(follower.opened.wait() for follower in [*single, *every]))
    say(f"events: the load with {_ONE_JOB + _EVERYTHING} readers")
    together = await _load(api, reader, writer, seconds)
    await _post(reader, writer, "/v1/jobs/cancel", {"filter": {"job_type": "watched"}})
    sent = seconds * _A_SECOND + _ONE_JOB
    async with asyncio.timeout(_SETTLE):
        while not _all_told(single, 1) or not _all_told(every, sent):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    grown = resident_bytes(api.pid) - before
    delays = [delay for one in every for delay in one.delays]
    assert {len(one.delays) for one in every} == {sent}, "an event came twice"
    assert {len(one.delays) for one in single} == {1}, "an event came twice"
    for follower in [*single, *every]:
        assert follower.task is not None
        follower.task.cancel()
    writer.close()
    return [
        Figure(
            what=f"cores of the API, {_A_SECOND:,} events/s, {_ONE_JOB} readers of a job and {_EVERYTHING} of all",
            value=f"{together:.2f}",
            reference=f"the same enqueues without readers: {alone:.2f}",
            ratio=together / alone,
        ),
        Figure(
            what="memory that those readers take, MiB",
            value=f"{grown / 2**20:.1f}",
            reference=f"{grown / 1024 / (_ONE_JOB + _EVERYTHING):.0f} KiB each",
        ),
        Figure(
            what="statement to client with all of them, median, ms",
            value=f"{median(delays):.1f} (95th percentile {percentile(delays, 95):.1f}, longest {max(delays):.1f})",
        ),
    ]


def _all_told(followers: list[_Follower], count: int) -> bool:
    return all(len(follower.delays) >= count for follower in followers)


async def _load(api: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: int) -> float:
    """Enqueue 1,000 jobs a second; the cores that the API uses meanwhile."""
    cpu, began = api.cpu_seconds(), time.monotonic()
    for number in range(seconds * _A_SECOND // _BATCH):
        await asyncio.sleep(max(began + number * _BATCH / _A_SECOND - time.monotonic(), 0))
        await _post(reader, writer, "/v1/jobs/batch", {"jobs": [{"job_type": "load"}] * _BATCH})
    return (api.cpu_seconds() - cpu) / (time.monotonic() - began)


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: Any) -> Any:
    writer.write(request(path, json.dumps(body).encode()))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 20"), head
    return json.loads(await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])))
