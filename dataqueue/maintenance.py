"""What has to be done again and again, by whoever is there: in every worker, safe in any number of them.

An idle worker sends at most two statements a second: staging 0.4, reclaiming 0.8, listening 0.07, the claimer's
poll 0.5. So a job that another process scheduled a moment ahead is noticed up to 2.5 s late; a retry of our own is
staged on time. The API process stages too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from dataqueue.duties import Duty, EventLogKeeper, jittered, keep_doing
from dataqueue.settings import WorkerSettings
from dataqueue.staging import Stager
from dataqueue.storage.port import Hint, Notifier, Storage, Upkeep

log = structlog.get_logger(__name__)

LOOK_FOR_DUE: Final = 2.5
LOOK_FOR_EXPIRED: Final = 1.25
_BATCH: Final = 1000
_REST: Final = 20  # times as long as the last pass took: at most a twentieth of a core, decision 8


class Reclaimer:
    """Takes back the jobs whose worker has fallen silent."""

    def __init__(
        self,
        *,
        upkeep: Upkeep,
        announce: Callable[[], Awaitable[None]],
        max_crashes: int,
        batch: int = _BATCH,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upkeep, self._announce, self._max_crashes, self._batch = upkeep, announce, max_crashes, batch
        self._monotonic = monotonic

    async def tick(self) -> float:
        began = self._monotonic()
        reclaimed = await self._upkeep.reclaim(limit=self._batch, max_crashes=self._max_crashes)
        if reclaimed:
            log.info("jobs.reclaimed", count=reclaimed)
            await self._announce()
        if reclaimed >= self._batch:
            return 0
        return jittered(max(LOOK_FOR_EXPIRED, _REST * (self._monotonic() - began)))


class Maintenance:
    """All duties of one worker process. No error ends them."""

    def __init__(self, storage: Storage, settings: WorkerSettings) -> None:
        announce = _announcer(storage.notifier, settings.namespace)
        self.stager = Stager(storage.upkeep, announce=announce, longest_sleep=LOOK_FOR_DUE)
        self._duties: tuple[Duty, ...] = (
            EventLogKeeper(upkeep=storage.upkeep),
            Reclaimer(upkeep=storage.upkeep, announce=announce, max_crashes=settings.max_crashes),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        async with asyncio.TaskGroup() as group:
            staging = group.create_task(self.stager.run())
            for duty in self._duties:
                group.create_task(keep_doing(duty, stop))
            await stop.wait()
            staging.cancel()


def _announcer(notifier: Notifier, namespace: str) -> Callable[[], Awaitable[None]]:
    async def announce() -> None:
        await notifier.publish(Hint("ready", namespace))

    return announce
