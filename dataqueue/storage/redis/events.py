"""The event log of one namespace in Redis."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from dataqueue.domain.events import Event, EventFilter
from dataqueue.errors import NotFound, PositionExpired
from dataqueue.storage.answers import EventPage, LogBounds
from dataqueue.storage.redis.rows import event_of
from dataqueue.storage.redis.server import Server, Value

_LOOKED_AT: Final = 10_000
"""Events that one page looks at."""
_AT_ONCE: Final = 500
"""Those of them that one script looks at."""
_STEPS_AT_ONCE: Final = 200
"""Events of one job that one script goes back over: a search each."""
_JOBS_AT_ONCE: Final = 10
_MOST_DATA: Final = 4 << 20


class RedisEventLog:
    """See `storage.port.EventLog`."""

    def __init__(self, server: Server, namespace: str) -> None:
        self._server, self._namespace = server, namespace

    async def of_job(self, job_id: UUID, *, after: int, limit: int) -> list[Event]:
        # They are found from the last one back, so the oldest are those that are kept.
        oldest: deque[Event] = deque(maxlen=limit)
        at: str | None = ""
        is_there = False
        while at is not None:
            [(found, at, entries)] = await self._back([(job_id, at)], after)
            is_there = is_there or bool(found)
            if not is_there:
                raise NotFound(f"no job {job_id}")
            oldest.extend(self._events(entries))
        return [*reversed(oldest)]

    async def page(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage:
        if matching.job_ids:
            found = await self._page_of_jobs(matching, after=after, until=until, limit=limit)
            if found is not None:
                return found
        return await self._page_of_all(matching, after=after, until=until, limit=limit)

    async def bounds(self) -> LogBounds:
        last, dropped, born = await self._server.run("events/bounds", self._namespace)
        return LogBounds(int(dropped), int(last), int(born))

    async def _page_of_all(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage:
        asked = _values_of(matching)
        events: list[Event] = []
        looked_at = data = 0
        while len(events) < limit and looked_at < _LOOKED_AT and data < _MOST_DATA:
            word, looked_to, entries = await self._server.run(
                "events/page", self._namespace, after, until, limit - len(events), _AT_ONCE, *asked
            )
            if word == "expired":
                raise _expired(looked_to)
            found = self._events(entries)
            events += found
            if looked_to is None:
                return EventPage(events, until)
            after = int(looked_to)
            looked_at += _AT_ONCE
            data += sum(len(event.data) for event in found)
        return EventPage(events, after)

    async def _page_of_jobs(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage | None:
        """The same of a few jobs, read along their chains: all of it. None: they have too many events for that."""
        page: list[Event] = []
        looked_at, is_cut = 0, False
        async for events in self._of_jobs(matching.job_ids, after):
            looked_at += len(events)
            if looked_at > _LOOKED_AT:
                return None
            page += [event for event in events if event.id <= until and matching.matches(event)]
            page.sort(key=lambda event: event.id)
            # What is cut off now would be later: others can only come before it.
            page, cut = _cut(page, limit)
            is_cut = is_cut or cut
        bounds = await self.bounds()
        if bounds.has_lost(after):
            raise _expired(bounds.oldest)
        return EventPage(page, page[-1].id if is_cut or len(page) == limit else until)

    async def _of_jobs(self, job_ids: Iterable[UUID], after: int) -> AsyncIterator[list[Event]]:
        """Events of jobs down to a position, some at a time."""
        ids = [*dict.fromkeys(job_ids)]
        for first in range(0, len(ids), _JOBS_AT_ONCE):
            walks: list[tuple[UUID, str]] = [(job_id, "") for job_id in ids[first : first + _JOBS_AT_ONCE]]
            while walks:
                answers = await self._back(walks, after)
                yield [event for _, _, entries in answers for event in self._events(entries)]
                walks = [(job_id, at) for (job_id, _), (_, at, _) in zip(walks, answers, strict=True) if at is not None]

    async def _back(self, walks: Sequence[tuple[UUID, str]], after: int) -> list[Any]:
        """A step of walks along the chains of jobs, each from a position (empty: its job's last) down to `after`."""
        calls = [(self._namespace, (str(job_id), at, after, _STEPS_AT_ONCE)) for job_id, at in walks]
        return await self._server.run_each("events/of_job", calls)

    def _events(self, entries: Sequence[Any]) -> list[Event]:
        return [event_of(entry, self._namespace) for entry in entries]


def _values_of(matching: EventFilter) -> tuple[Value, ...]:
    """A filter as `lua/lib/event_filter.lua` takes it."""
    sets = (matching.events, [str(one) for one in matching.job_ids], matching.job_types, matching.tags)
    return (*(orjson.dumps(one).decode() if one else "" for one in sets), matching.tag_mode)


def _cut(events: list[Event], limit: int) -> tuple[list[Event], bool]:
    """So many of them, with 4 MiB of data or the one that is more; and whether there were others."""
    kept, data = list[Event](), 0
    for event in events[:limit]:
        if data >= _MOST_DATA:
            break
        kept.append(event)
        data += len(event.data)
    return kept, len(kept) < len(events)


def _expired(oldest: object) -> PositionExpired:
    return PositionExpired(f"events up to {oldest} have been removed")
