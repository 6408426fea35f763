"""Says that a worker is there, and hears what it is to do. Lives in the heartbeat's thread: see `aside`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from dataqueue.domain.workers import Orders
from dataqueue.errors import DataQueueError
from dataqueue.processing.backoff import Backoff
from dataqueue.storage.port import WorkerRegistry

log = structlog.get_logger(__name__)

BEAT: Final = 10.0
"""Seconds; six beats may be missed before a worker counts as gone."""
KIND: Final = "python"
_PATIENCE: Final = 5.0


class Presence:
    """Beats every ten seconds, and at once when asked to. `drain` is called when it is to take no more jobs."""

    def __init__(
        self, *, workers: WorkerRegistry, worker_id: str, job_types: Sequence[str], drain: Callable[[], None]
    ) -> None:
        self._workers, self._worker_id, self._job_types, self._drain = workers, worker_id, job_types, drain
        self._is_draining = False
        self._asked = asyncio.Event()

    def beat_soon(self) -> None:
        """There may be new orders. On this thread's loop only."""
        self._asked.set()

    async def run(self) -> None:
        backoff = Backoff(longest=BEAT)
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self.tick()
            except Exception as error:
                pause = backoff.next()
                if backoff.failures == 1:
                    unforeseen = None if isinstance(error, DataQueueError | TimeoutError) else error
                    log.warning("presence.failing", error=str(error) or "no answer in time", exc_info=unforeseen)
            else:
                pause = BEAT
                if backoff.failures:
                    log.info("presence.recovered", failures=backoff.failures)
                backoff.reset()
            await self._rest(pause)

    async def tick(self) -> None:
        """Beat once, and do as told."""
        orders = await self._workers.beat(self._worker_id, kind=KIND, job_types=self._job_types)
        if orders is Orders.DRAIN and not self._is_draining:
            self._is_draining = True
            self._drain()
        elif orders is Orders.RUN and self._is_draining:
            # We were silent for so long that we counted as gone, and began anew; what we were told still holds.
            await self._workers.drain(self._worker_id)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            pass
        self._asked.clear()
