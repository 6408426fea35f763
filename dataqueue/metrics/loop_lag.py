"""How late an event loop is: what blocks it delays everybody on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.metrics_core import Metric

from dataqueue.metrics.counting import Histogram
from dataqueue.metrics.families import gauge, histogram

_PERIOD: Final = 0.5
_BOUNDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopLag:
    """Sleeps half a second, again and again, and notes how much later it woke."""

    def __init__(self, *, period: float = _PERIOD, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._period, self._monotonic = period, monotonic
        self._due: float | None = None
        self.lags = Histogram(_BOUNDS)

    async def run(self) -> None:
        """For ever, on the loop in question."""
        try:
            while True:
                await self.tick()
        finally:
            self._due = None

    async def tick(self) -> None:
        """Sleep once."""
        self._due = self._monotonic() + self._period
        await asyncio.sleep(self._period)
        self.lags.observe(max(0.0, self._monotonic() - self._due))

    @property
    def overdue(self) -> float:
        """Seconds that the loop is late now. To be asked from another thread, when it is blocked."""
        due = self._due
        return 0.0 if due is None else max(0.0, self._monotonic() - due)

    def families(self) -> Iterable[Metric]:
        meaning = "How much later than asked for the event loop woke a task, looked at twice a second."
        yield histogram("event_loop_lag_seconds", meaning, (), {(): self.lags})
        meaning = "How late the event loop is at this moment; it grows while something blocks it."
        yield gauge("event_loop_overdue_seconds", meaning, (), {(): self.overdue})
