"""Reading and following the event log."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from dataqueue.domain.events import Event, EventFilter
from dataqueue.storage.answers import (
    EventPage,
    LogBounds,
    Look,
)


class EventLog(Protocol):
    """What happened to the jobs of one namespace."""

    async def of_job(self, job_id: UUID, *, after: int, limit: int) -> list[Event]:
        """Events of one job, oldest first, after a position; NotFound when there is no such job."""
        ...

    async def page(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage:
        """What matches after one position and up to another, in order, at most `limit`.

        Looks at a bounded number of events: go on from `position` until that is `until`. Nothing is missed where
        `until` is a frontier (`EventTail`). PositionExpired: events after `after` have been removed.
        """
        ...

    async def bounds(self) -> LogBounds:
        """How far the log reaches."""
        ...


class EventTail(Protocol):
    """Follows the end of the logs for one process. It remembers where it is; one caller at a time."""

    async def look(self, namespaces: Collection[str], *, limit: int) -> Look:
        """Move on as far as nothing can appear behind, at most `limit` events of these namespaces further.

        The first look, and every later one for a namespace that was not asked for before, tells of no events and of
        a frontier at the end of the log. `frontiers` lacks what is not known yet.
        """
        ...


class TicketStore(Protocol):
    """One-time passes to the event stream, for those who cannot send a key."""

    async def issue(self, digest: bytes, *, namespace: str, lifetime: timedelta) -> datetime:
        """Keep a ticket by its digest; says when it expires."""
        ...

    async def redeem(self, digest: bytes) -> str | None:
        """The namespace a ticket admits to, once; None for one that is unknown, used or expired."""
        ...
