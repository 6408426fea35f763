"""Making due jobs claimable: scheduled ones, retries, ended waits. Every process does it (details J1).

What this process knows to become due (`expect`) is staged on time, and so is what was known at the last look; what
another process scheduled meanwhile is noticed at the next look.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from dataqueue.errors import DataQueueError
from dataqueue.storage.port import Upkeep

_BATCH: Final = 1000
_SHORTEST_SLEEP: Final = 0.02
_REST: Final = 20  # times as long as a look took: dear ones (a snapshot is held somewhere) come less often
_FIRST_RETRY: Final = 0.1
_log = structlog.get_logger(__name__)


class Stager:
    """Stages what is due, says so, then sleeps until the next job is."""

    def __init__(
        self, upkeep: Upkeep, *, announce: Callable[[], Awaitable[None]], longest_sleep: float, batch: int = _BATCH
    ) -> None:
        self._upkeep, self._announce = upkeep, announce
        self._longest_sleep, self._batch = longest_sleep, batch
        self._next_look = 0.0
        self._sooner = asyncio.Event()

    def expect(self, seconds: float) -> None:
        """A job becomes due in so many seconds: look then, if that is before the next look."""
        at = asyncio.get_running_loop().time() + max(seconds, _SHORTEST_SLEEP)
        if at < self._next_look:
            self._next_look = at
            self._sooner.set()

    async def tick(self) -> float:
        """Stage one batch; says how many seconds to sleep."""
        began = time.monotonic()
        staged = await self._upkeep.stage(limit=self._batch)
        rest = max(_SHORTEST_SLEEP, _REST * (time.monotonic() - began))
        if staged.count:
            await self._announce()
        if staged.count >= self._batch:
            return 0
        due_in = self._longest_sleep if staged.next_due_in is None else staged.next_due_in
        return max(min(due_in, self._longest_sleep), min(rest, self._longest_sleep))

    async def run(self) -> None:
        """Tick for ever. After an error sooner or later again, and one line in the log for each outage."""
        failures = 0
        while True:
            # Until the tick is over, whatever is expected is expected sooner than the next look.
            self._next_look = float("inf")
            try:
                pause, failures = await self.tick(), 0
            except Exception as error:  # noqa: BLE001 - the loop that drives it outlives whatever it meets
                failures += 1
                pause = random.uniform(_FIRST_RETRY, min(_FIRST_RETRY * 2.0 ** min(failures, 10), self._longest_sleep))
                if failures == 1:
                    # An outage is told in a line; what we did not foresee, with its traceback.
                    unforeseen = None if isinstance(error, DataQueueError) else error
                    _log.warning("staging.failing", error=str(error), exc_info=unforeseen)
            await self._sleep(pause)

    async def _sleep(self, pause: float) -> None:
        now = asyncio.get_running_loop().time
        self._next_look = min(self._next_look, now() + pause)
        while (left := self._next_look - now()) > 0:
            self._sooner.clear()
            try:
                async with asyncio.timeout(left):
                    await self._sooner.wait()
            except TimeoutError:
                return
