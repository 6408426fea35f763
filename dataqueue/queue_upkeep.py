"""What a program may do of a namespace's upkeep, where no worker process does it by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final
from weakref import WeakSet

from dataqueue import job_fields as fields
from dataqueue.announcing import Announcer
from dataqueue.domain.limits import LARGEST_BATCH
from dataqueue.domain.retention import Retention
from dataqueue.errors import Invalid
from dataqueue.listeners import Listeners
from dataqueue.processors import OnError, Processor, error_teller
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import Hint, Storage
from dataqueue.supervising import QueueSupervisor, Task
from dataqueue.tokens import expire_tokens

_LARGEST_FOLD: Final = 10 * LARGEST_BATCH
_FORGET_AFTER: Final = timedelta(days=1)

Age = Retention | float | timedelta
"""How long what has ended is kept: days, a timedelta, or by status."""


class QueueUpkeep:
    """The part of a `Queue` that looks after what is stored."""

    namespace: str
    _storage: Storage
    _settings: WorkerSettings
    _listeners: Listeners
    _announce: dict[str, Announcer]
    _at_work: WeakSet[Processor | QueueSupervisor]

    async def reclaim_stuck_jobs(self) -> int:
        """Take back jobs whose worker fell silent for longer than its lease; says how many. Workers do so unasked."""
        reclaim = partial(
            self._storage.upkeep.reclaim, max_crashes=self._settings.max_crashes, namespace=self.namespace
        )
        count = await _until_done(lambda limit: reclaim(limit=limit))
        if count:
            await self._announce_some_ready()
        return count

    async def expire_timed_out_tokens(self) -> int:
        """Time out tokens whose time is up, and let the jobs that wait for them go on; says how many. Workers do so
        unasked."""
        return await expire_tokens(
            self._storage.upkeep, namespace=self.namespace, batch=LARGEST_BATCH, ready=self._announce["ready"]
        )

    async def cleanup_old_jobs(self, retention: Age = 30.0) -> int:
        """Remove jobs that ended longer ago than that (days, or by status); says how many. Their keys go with them."""
        kept, removed, is_end = _retention(retention, "retention"), 0, False
        while not is_end:
            pruned = await self._storage.upkeep.prune(kept, limit=LARGEST_BATCH, namespace=self.namespace)
            removed, is_end = removed + pruned.count, pruned.is_end
        return removed

    async def cleanup_old_job_events(self, days: float | timedelta = 30.0) -> int:
        """Remove whole days of events older than that, of every namespace; says about how many events."""
        return await self._storage.upkeep.prune_events(keep=_days(days, "days"))

    def create_supervisor(
        self,
        *,
        interval: float | timedelta = 60.0,
        reclaim_stuck_jobs: bool = True,
        expire_timed_out_tokens: bool = True,
        cleanup_jobs_after: Age | None = 30.0,
        cleanup_tokens_after: float | timedelta | None = 30.0,
        cleanup_events_after: float | timedelta | None = 30.0,
        on_error: OnError | None = None,
    ) -> QueueSupervisor:
        """The upkeep that a worker process does by itself, for programs that run none. None leaves a task out.

        `interval`: seconds between rounds. Ages are days.
        """
        upkeep = self._storage.upkeep
        tasks: dict[str, Task] = {"staged_jobs": self._stage}
        if reclaim_stuck_jobs:
            tasks["reclaimed_jobs"] = self.reclaim_stuck_jobs
        if expire_timed_out_tokens:
            tasks["expired_tokens"] = self.expire_timed_out_tokens
        if cleanup_jobs_after is not None:
            kept = _retention(cleanup_jobs_after, "cleanup_jobs_after")
            tasks["cleaned_up_jobs"] = partial(self.cleanup_old_jobs, kept)
        if cleanup_tokens_after is not None:
            prune = partial(
                upkeep.prune_tokens,
                keep=_days(cleanup_tokens_after, "cleanup_tokens_after"),
                namespace=self.namespace,
            )
            tasks["cleaned_up_tokens"] = lambda: _until_done(lambda limit: prune(limit=limit))
        if cleanup_events_after is not None:
            age = _days(cleanup_events_after, "cleanup_events_after")
            tasks["cleaned_up_events"] = partial(self.cleanup_old_job_events, age)
        tasks["folded_counts"] = lambda: _until_done(lambda limit: upkeep.fold_counts(limit=limit), most=_LARGEST_FOLD)
        tasks["forgotten_workers"] = partial(upkeep.forget_workers, silent_for=_FORGET_AFTER)
        supervisor = QueueSupervisor(
            tasks,
            silent={"event log": upkeep.prepare_event_log},
            interval=fields.positive_seconds(interval, ("interval",)),
            tell_error=error_teller(self._listeners, on_error),
        )
        self._at_work.add(supervisor)
        return supervisor

    async def _stage(self) -> int:
        staged = await self._storage.upkeep.stage(limit=LARGEST_BATCH, namespace=self.namespace)
        if staged.count:
            await self._announce_some_ready()
        return staged.count

    async def _announce_some_ready(self) -> None:
        await self._storage.notifier.publish(Hint("ready", self.namespace))


async def _until_done(batch: Callable[[int], Awaitable[int]], *, most: int = LARGEST_BATCH) -> int:
    total = 0
    while True:
        count = await batch(most)
        total += count
        if count < most:
            return total


def _retention(value: Age, name: str) -> Retention:
    if isinstance(value, Retention):
        return value
    keep = _days(value, name)
    return Retention(completed=keep, failed=keep, cancelled=keep)


def _days(value: float | timedelta, name: str) -> timedelta:
    keep = value if isinstance(value, timedelta) else timedelta(days=value)
    if keep < timedelta(0):
        raise Invalid(f"{name} must not be negative", loc=(name,))
    return keep
