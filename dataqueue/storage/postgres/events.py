"""The event log in PostgreSQL: of one namespace, and its end as it grows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple
from uuid import UUID

from dataqueue.domain.events import Event, EventFilter
from dataqueue.errors import NotFound, PositionExpired
from dataqueue.storage.answers import EventPage, LogBounds, Look
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.namespaces import Namespaces
from dataqueue.storage.postgres.rows import event_of

_LOOKED_AT: Final = 10_000
"""Events that one page looks at: some 20 ms."""


class PostgresEventLog:
    """See `storage.port.EventLog`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace

    async def of_job(self, job_id: UUID, *, after: int, limit: int) -> list[Event]:
        namespace_id = await self._namespaces.id_of(self._namespace)
        rows = await self._database.run("events/of_job", id=job_id, namespace_id=namespace_id, after=after, limit=limit)
        if not rows and not await self._database.run("jobs/get", id=job_id, namespace_id=namespace_id):
            raise NotFound(f"no job {job_id}")
        return [event_of(row, self._namespace) for row in rows]

    async def page(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage:
        namespace_id = await self._namespaces.id_of(self._namespace)
        given: dict[str, object] = {
            "namespace_id": namespace_id,
            "after": after,
            "until": until,
            "events": list(matching.events) or None,
            "job_types": list(matching.job_types) or None,
            "tags": list(matching.tags) or None,
            "tag_mode": matching.tag_mode,
            "limit": limit,
        }
        if matching.job_ids:
            rows = await self._database.run("events/page_of_jobs", **given, job_ids=list(matching.job_ids))
        else:
            rows = await self._database.run("events/page", **given, budget=max(_LOOKED_AT, limit))
        # Asked for afterwards: what was cut off before the page was read is known by now.
        if after < (oldest := (await self.bounds()).oldest):
            raise PositionExpired(f"events up to {oldest} have been removed")
        events = [event_of(row, self._namespace) for row in rows if row.id is not None]
        if len(events) == limit or (events and events[-1].id < rows[0].found_to):
            return EventPage(events, events[-1].id)
        looked_to = rows[0].looked_to if rows else None
        return EventPage(events, until if looked_to is None else looked_to)

    async def bounds(self) -> LogBounds:
        [row] = await self._database.run("events/bounds")
        return LogBounds(row.oldest, row.newest)


class _Mark(NamedTuple):
    """Positions up to `position` were drawn by transactions older than `transaction`."""

    position: int
    transaction: str


class PostgresEventTail:
    """See `storage.port.EventTail`. All namespaces share one sequence of positions, and so one frontier.

    A position is drawn by a transaction that already has a number, so once all transactions are over that were there
    when the end of the sequence was read, everything up to that end has been seen, or never will be (design 4). Each of
    the three questions is a statement of its own, in this order, or the answer would be older than what it is about.
    """

    def __init__(self, database: Database, namespaces: Namespaces) -> None:
        self._database, self._namespaces = database, namespaces
        self._frontier: int | None = None
        self._settled = 0
        self._mark: _Mark | None = None
        self._known: set[str] = set()

    async def look(self, namespaces: Collection[str], *, limit: int) -> Look:
        if self._frontier is None or self._frontier >= self._settled:
            await self._settle()
        if self._frontier is None:
            return Look([], {}, more=False, waits=True)
        # Whoever has just come begins at the end: what is left of a stretch is for those who were there before.
        earlier = self._known.intersection(namespaces)
        events, more = list[Event](), False
        if self._frontier < self._settled:
            events, more = await self._read(earlier, self._frontier, limit)
        self._frontier = events[-1].id if more else self._settled
        if not more:
            self._known = set(namespaces)
        known = namespaces if not more else earlier
        return Look(events, dict.fromkeys(known, self._frontier), more=more, waits=self._mark is not None)

    async def _settle(self) -> None:
        """Move `_settled` on to the last mark, if everything before that is over."""
        if self._mark is None:
            newest = (await self._database.run("events/bounds"))[0].newest
            if self._frontier is not None and newest <= self._frontier:
                # Less than before: the server that had the rest is gone, and whoever was sent it must hear of that.
                self._frontier = self._settled = newest
                return
            mark = (await self._database.run("events/mark"))[0].mark
            self._mark = _Mark(newest, mark)
        if (await self._database.run("events/is_settled", mark=self._mark.transaction))[0].is_settled:
            self._settled, self._mark = self._mark.position, None
            if self._frontier is None:
                self._frontier = self._settled

    async def _read(self, names: Iterable[str], after: int, limit: int) -> tuple[list[Event], bool]:
        """Events up to where everything is settled, and whether there may be more of them."""
        ids = {await self._namespaces.id_of(name): name for name in names}
        if not ids:
            return [], False
        rows: list[Row] = await self._database.run(
            "events/between", after=after, until=self._settled, namespace_ids=list(ids), limit=limit
        )
        events = [event_of(row, ids[row.namespace_id]) for row in rows]
        return events, len(events) == limit or bool(events and events[-1].id < rows[0].found_to)
