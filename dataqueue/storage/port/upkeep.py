"""The work that any process may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from dataqueue.domain.retention import Retention
from dataqueue.storage.answers import (
    Expired,
    Pruned,
    Staged,
)


class Upkeep(Protocol):
    """The work that any process may do at any time, and any number at once. None: every namespace."""

    async def stage(self, *, limit: int, namespace: str | None = None) -> Staged:
        """Make claimable what has become due: scheduled jobs, retries, ended waits, tokens whose time is up; and admit
        jobs that came within a caller's transaction (`enqueue_within`) with a type that nobody had used before."""
        ...

    async def expire_tokens(self, *, limit: int, namespace: str | None = None) -> Expired:
        """Time out tokens whose time is up, and resume the jobs that wait for them. Goes on besides with waking the
        jobs of ended tokens, where whoever ended one was cut off."""
        ...

    async def prune_tokens(self, *, keep: timedelta, limit: int, namespace: str | None = None) -> int:
        """Remove tokens that ended longer ago than `keep` and belong to no job; says how many. Those of a job go with
        it, and such as still wait then time out."""
        ...

    async def reclaim(self, *, limit: int, max_crashes: int, namespace: str | None = None) -> int:
        """Take jobs whose lease has expired back to pending; over `max_crashes` to failed `crashed`. Says how many."""
        ...

    async def prepare_event_log(self) -> None:
        """Make room for the events of the coming days."""
        ...

    async def prune(self, retention: Retention, *, limit: int, namespace: str | None = None) -> Pruned:
        """Remove jobs that ended longer ago than they are kept for, at most `limit`. Looks at a bounded number of jobs,
        so there may be more though it removed fewer, even none."""
        ...

    async def prune_events(self, *, keep: timedelta) -> int:
        """Remove whole days of events that are older than `keep`, of every namespace; says about how many events."""
        ...

    async def fold_counts(self, *, limit: int) -> int:
        """Add what has been noted of changes to the counts, at most `limit` notes; says how many."""
        ...

    async def forget_workers(self, *, silent_for: timedelta) -> int:
        """Remove workers that have not been heard of for that long; says how many."""
        ...
