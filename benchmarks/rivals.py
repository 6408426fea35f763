"""SAQ, arq and streaq, each run as its documentation says: `python -m benchmarks.rivals NAME fill|drain N SLOTS`.

uvloop and hiredis, defaults but for the slots, results kept as long as each does by itself, one worker, a function
that does nothing. They need older drivers than ours, so they live in an environment of their own (`make rivals`):
nothing of ours is imported here.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

_CHUNK: Final = 500


class Span:
    """From the first start of the function to the last record of its end."""

    def __init__(self, jobs: int) -> None:
        self._left, self._jobs = jobs, jobs
        self._started: tuple[float, float] | None = None
        self.is_over = asyncio.Event()
        self.found: dict[str, float] = {}

    def begun(self) -> None:
        if self._started is None:
            self._started = time.perf_counter(), time.process_time()

    async def recorded(self, *_: object) -> None:
        self._left -= 1
        if not self._left:
            self.end()

    def end(self) -> None:
        assert self._started is not None, "nothing was run"
        started, cpu = self._started
        self.found = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
        self.is_over.set()


class Saq:
    def __init__(self, url: str, slots: int) -> None:
        self._slots = slots
        # As many operations at once as slots: its default of 20 would hold them back.
        self._queue: Any = import_module("saq.queue.redis").RedisQueue(
            import_module("redis.asyncio").Redis.from_url(url), max_concurrent_ops=slots
        )

    async def fill(self, jobs: int) -> None:
        await self._queue.connect()
        for start in range(0, jobs, _CHUNK):
            await asyncio.gather(*(self._queue.enqueue("noop") for _ in range(min(_CHUNK, jobs - start))))

    async def drain(self, span: Span) -> None:
        async def noop(ctx: object) -> None:
            span.begun()

        await self._queue.connect()
        worker = import_module("saq").Worker(
            self._queue, [("noop", noop)], concurrency=self._slots, after_process=span.recorded
        )
        working = asyncio.create_task(worker.start())
        await span.is_over.wait()
        await worker.stop()
        await working


class Arq:
    def __init__(self, url: str, slots: int) -> None:
        self._slots = slots
        self._settings: Any = import_module("arq.connections").RedisSettings(unix_socket_path=urlsplit(url).path)

    async def fill(self, jobs: int) -> None:
        pool = await import_module("arq").create_pool(self._settings)
        for start in range(0, jobs, _CHUNK):
            await asyncio.gather(*(pool.enqueue_job("noop") for _ in range(min(_CHUNK, jobs - start))))

    async def drain(self, span: Span) -> None:
        async def noop(ctx: object) -> None:
            span.begun()

        arq: Any = import_module("arq.worker")
        worker = arq.Worker(
            [arq.func(noop, name="noop")],
            redis_settings=self._settings,
            max_jobs=self._slots,
            after_job_end=span.recorded,
            # It looks at what it has started no more often than it polls.
            poll_delay=0.01,
            handle_signals=False,
        )
        working = asyncio.create_task(worker.async_run())
        await span.is_over.wait()
        working.cancel()


class Streaq:
    def __init__(self, url: str, slots: int) -> None:
        self._worker: Any = import_module("streaq").Worker(redis_url=url, concurrency=slots, handle_signals=False)
        self._span: Span | None = None

        async def noop() -> None:
            if self._span is not None:
                self._span.begun()

        self._noop = self._worker.task(noop)

    async def fill(self, jobs: int) -> None:
        async with self._worker:
            for start in range(0, jobs, _CHUNK):
                await self._worker.enqueue_many([self._noop.enqueue() for _ in range(min(_CHUNK, jobs - start))])

    async def drain(self, span: Span) -> None:
        self._span, self._worker.burst = span, True
        await self._worker.run_async()
        span.end()


KINDS: Final[dict[str, Any]] = {"saq": Saq, "arq": Arq, "streaq": Streaq}


async def _run(kind: str, what: str, jobs: int, slots: int) -> None:
    rival = KINDS[kind](os.environ["BENCH_URL"], slots)
    if what == "fill":
        await rival.fill(jobs)
        return
    span = Span(jobs)
    await rival.drain(span)
    print(json.dumps(span.found))


def main() -> None:
    kind, what, jobs, slots = sys.argv[1:]
    uvloop.run(_run(kind, what, int(jobs), int(slots)))


if __name__ == "__main__":
    main()
