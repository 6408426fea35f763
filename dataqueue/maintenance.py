"""What has to be done again and again, by whoever is there: in every worker, safe in any number of them.

An idle worker sends at most two statements a second: staging 0.4, reclaiming 0.8, listening 0.07, the claimer's
poll 0.5, its beat 0.1, folding and pruning 0.04. So a job that another process scheduled a moment ahead is noticed up
to 2.5 s late; a retry of our own is staged on time. The API process stages and folds too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from dataqueue.domain.retention import Retention
from dataqueue.duties import Duty, EventLogKeeper, RiskTeller, jittered, keep_doing
from dataqueue.settings import WorkerSettings
from dataqueue.staging import Stager
from dataqueue.storage.port import Hint, Notifier, Storage, Upkeep

log = structlog.get_logger(__name__)

LOOK_FOR_DUE: Final = 2.5
LOOK_FOR_EXPIRED: Final = 1.25
FOLD_OFTEN, FOLD_SELDOM = 2.0, 60.0
LOOK_FOR_ENDED: Final = 60.0
LOOK_FOR_OLD: Final = 3600.0
_BATCH: Final = 1000
_FOLD_BATCH: Final = 10_000
_FOLD_BACKOFF: Final = 4
_PRUNE_BATCH: Final = 500
_FORGET_AFTER: Final = timedelta(days=1)
_REST_IN_WORK: Final = 3
"""Times as long as a batch took, while there is more to do: upkeep then takes a quarter of a core."""
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
        self.reclaimed = 0
        """Jobs it has taken back so far."""

    async def tick(self) -> float:
        began = self._monotonic()
        reclaimed = await self._upkeep.reclaim(limit=self._batch, max_crashes=self._max_crashes)
        if reclaimed:
            self.reclaimed += reclaimed
            log.info("jobs.reclaimed", count=reclaimed)
            await self._announce()
        if reclaimed >= self._batch:
            return 0
        return jittered(max(LOOK_FOR_EXPIRED, _REST * (self._monotonic() - began)))


class Folder:
    """Folds what was noted of changes into the counts: often while there is something, ever more seldom when not.

    Nobody waits for it. Counts are exact without, and a little dearer to read.
    """

    def __init__(
        self, *, upkeep: Upkeep, batch: int = _FOLD_BATCH, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._upkeep, self._batch, self._monotonic = upkeep, batch, monotonic
        self._pause = FOLD_OFTEN

    async def tick(self) -> float:
        began = self._monotonic()
        folded = await self._upkeep.fold_counts(limit=self._batch)
        took = self._monotonic() - began
        if folded >= self._batch:
            return _REST_IN_WORK * took
        self._pause = FOLD_OFTEN if folded else min(self._pause * _FOLD_BACKOFF, FOLD_SELDOM)
        return jittered(max(self._pause, _REST * took))


class Pruner:
    """Removes jobs that have been kept long enough, a small batch at a time."""

    def __init__(
        self,
        *,
        upkeep: Upkeep,
        retention: Retention,
        batch: int = _PRUNE_BATCH,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upkeep, self._retention, self._batch, self._monotonic = upkeep, retention, batch, monotonic

    async def tick(self) -> float:
        began = self._monotonic()
        removed = (await self._upkeep.prune(self._retention, limit=self._batch)).count
        took = self._monotonic() - began
        if removed:
            log.debug("jobs.pruned", count=removed)
        if removed >= self._batch:
            return _REST_IN_WORK * took
        return jittered(max(LOOK_FOR_ENDED, _REST * took))


class TokenPruner:
    """Removes ended tokens that belong to no job and have been kept long enough."""

    def __init__(self, *, upkeep: Upkeep, keep: timedelta, batch: int = _PRUNE_BATCH) -> None:
        self._upkeep, self._keep, self._batch = upkeep, keep, batch

    async def tick(self) -> float:
        began = time.monotonic()
        removed = await self._upkeep.prune_tokens(keep=self._keep, limit=self._batch)
        if removed:
            log.debug("tokens.pruned", count=removed)
        if removed >= self._batch:
            return _REST_IN_WORK * (time.monotonic() - began)
        return jittered(LOOK_FOR_OLD)


class EventPruner:
    """Removes days of events that have been kept long enough."""

    def __init__(self, *, upkeep: Upkeep, keep: timedelta) -> None:
        self._upkeep, self._keep = upkeep, keep

    async def tick(self) -> float:
        if removed := await self._upkeep.prune_events(keep=self._keep):
            log.info("events.pruned", about=removed)
        return jittered(LOOK_FOR_OLD)


class WorkerForgetter:
    """Forgets workers that ended without a word, long ago."""

    def __init__(self, *, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    async def tick(self) -> float:
        await self._upkeep.forget_workers(silent_for=_FORGET_AFTER)
        return jittered(LOOK_FOR_OLD)


class Maintenance:
    """All duties of one worker process. No error ends them."""

    def __init__(self, storage: Storage, settings: WorkerSettings) -> None:
        announce = _announcer(storage.notifier, settings.namespace)
        self.stager = Stager(storage.upkeep, announce=announce, longest_sleep=LOOK_FOR_DUE)
        self.reclaimer = Reclaimer(upkeep=storage.upkeep, announce=announce, max_crashes=settings.max_crashes)
        self._duties: tuple[Duty, ...] = (
            EventLogKeeper(upkeep=storage.upkeep),
            self.reclaimer,
            Folder(upkeep=storage.upkeep),
            Pruner(upkeep=storage.upkeep, retention=settings.retention),
            TokenPruner(upkeep=storage.upkeep, keep=settings.keep_tokens),
            EventPruner(upkeep=storage.upkeep, keep=settings.keep_events),
            WorkerForgetter(upkeep=storage.upkeep),
            RiskTeller(storage),
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
