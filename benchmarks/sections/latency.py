"""From the 201 at the client to the handler's first line in a worker, on an idle queue."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.figures import Figure, median, percentile
from benchmarks.ground import Ground
from benchmarks.loading import request
from benchmarks.processes import say

_PAUSES: Final = (0.1, 0.4)
_PATIENCE: Final = 10
_GOALS_MS: Final = {"PostgreSQL": 5, "Redis": 3}
_WARM_UP: Final = 10


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Enqueue at random moments. Between them, how long a bare wake-up takes to be heard."""
    jobs = 50 if quick else 200
    url = await ground.database()
    after_answer: list[float] = []
    after_request: list[float] = []
    notified: list[float] = []
    with (
        TemporaryDirectory(prefix="dataqueue-bench-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as clock,
    ):
        path = str(Path(folder) / "clock")
        clock.bind(path)
        clock.setblocking(False)
        api, port = await ground.api(url)
        worker = await ground.worker(url, concurrency=50, BENCH_SOCKET=path)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with ground.wakes(url) as wake:
            for number in range(jobs + _WARM_UP):
                await asyncio.sleep(random.uniform(*_PAUSES))
                notified.append(await wake())
                await asyncio.sleep(random.uniform(*_PAUSES) / 2)
                sent, answered, started = await _job(reader, writer, clock, number)
                after_answer.append((started - answered) / 1e6)
                after_request.append((started - sent) / 1e6)
                if (number + 1) % 50 == 0:
                    say(f"latency {number + 1}/{jobs + _WARM_UP}: median so far {median(after_answer):.2f} ms")
        writer.close()
        worker.stop()
        api.stop()
    return _figures(ground, after_answer[_WARM_UP:], after_request[_WARM_UP:], notified[_WARM_UP:])


async def _job(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: socket.socket, number: int
) -> tuple[int, int, int]:
    """When a job's request was sent, when its answer was there, when its handler started (ns)."""
    sent = time.monotonic_ns()
    writer.write(request("/v1/jobs", b'{"job_type":"clock","payload":{"n":%d}}' % number))
    head = await reader.readuntil(b"\r\n\r\n")
    answered = time.monotonic_ns()
    assert head.startswith(b"HTTP/1.1 201"), head
    await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    async with asyncio.timeout(_PATIENCE):
        said, started = map(int, (await asyncio.get_running_loop().sock_recv(clock, 100)).split())
    assert said == number, "a job was started twice, or another one"
    return sent, answered, started


def _figures(
    ground: Ground, after_answer: list[float], after_request: list[float], notified: list[float]
) -> list[Figure]:
    goal = _GOALS_MS[ground.name]
    reference = f"a bare {ground.wake_up}, sent to heard: {median(notified):.2f}"
    return [
        Figure(
            what="201 to handler's start, idle queue, median, ms",
            value=f"{median(after_answer):.2f}",
            reference=reference,
            ratio=median(after_answer) / median(notified),
            goal=f"under {goal}",
            met=median(after_answer) < goal,
        ),
        Figure(
            what="201 to handler's start, 95th percentile, ms",
            value=f"{percentile(after_answer, 95):.2f} (longest {max(after_answer):.1f})",
        ),
        Figure(
            what="request sent to handler's start, median, ms",
            value=f"{median(after_request):.2f}",
        ),
    ]
