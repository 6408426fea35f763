"""One write for many callers: what arrives while a write is in flight goes together in the next one.

There is no timer. An idle service writes at once, and batches grow only as fast as the storage is busy.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Coalescer(Generic[T, R]):
    """Shares `write` among callers on one event loop.

    `write` takes items and answers a result or an exception for each, in order; what it raises is every
    item's. `weight` says how much an item counts towards `most`; an item heavier than that goes alone.
    `writers` writes may be in flight at a time.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        most: int,
        weight: Callable[[T], int] = lambda _: 1,
        writers: int = 1,
    ) -> None:
        self._write, self._most, self._weight, self._writers = write, most, weight, writers
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()

    def submit(self, item: T) -> asyncio.Future[R]:
        """Hand in an item; the future ends with its share of the write.

        A caller that gives up cancels its future and nothing else.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._in_flight) < self._writers:
            # In a context of its own: the write is not only of the request, or the job, that happens to start it.
            self._in_flight.add(asyncio.create_task(self._drain(), context=Context()))
        return future

    async def settle(self) -> None:
        """Wait until everything handed in so far has been written or refused."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _drain(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while self._waiting:
                await self._write_one()
        finally:
            # In the same breath as the last look, not in a callback: whoever submits next, perhaps before any
            # callback runs, must find that nobody is writing.
            self._in_flight.discard(task)

    async def _write_one(self) -> None:
        batch = self._next_batch()
        try:
            results = await self._write([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is every waiting caller's to hear
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _next_batch(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch = [self._waiting.popleft()]
        weight = self._weight(batch[0][0])
        while self._waiting and weight + self._weight(self._waiting[0][0]) <= self._most:
            batch.append(self._waiting.popleft())
            weight += self._weight(batch[-1][0])
        return batch
