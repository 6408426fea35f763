"""A log in memory, its end and its pages, with the storage's promises and as many awaits as a test likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

from dataqueue.domain.events import Event, EventFilter, EventName
from dataqueue.errors import PositionExpired
from dataqueue.ids import new_id
from dataqueue.storage.answers import EventPage, LogBounds, Look
from dataqueue.storage.port import EventLog, Storage
from dataqueue.streaming.hub import EventHub

AT: Final = datetime(2030, 1, 1, tzinfo=UTC)
JOB: Final = new_id()
Turn = Callable[[], Awaitable[object]]


def event(id: int, namespace: str = "default", **fields: Any) -> Event:
    """An event at that position."""
    return Event(
        **{
            "id": id, "namespace": namespace, "event": EventName.ADDED, "job_id": JOB, "job_type": "mail", "tags": (),
            "at": AT, "data": "{}", **fields,
        }
    )  # fmt: skip


def events(*ids: int, namespace: str = "default") -> list[Event]:
    return [event(id, namespace) for id in ids]


def look(*told: Event, more: bool = False, waits: bool = False, **frontiers: int) -> Look:
    """What a look found."""
    return Look(list(told), frontiers, more=more, waits=waits)


def as_it_is(event: Event) -> Event:
    return event


class Told:
    """A tail that finds what a test tells it to, look by look; after that, what `then` says."""

    def __init__(self, *looks: Look | BaseException, then: Look | None = None) -> None:
        self.looks, self.then = list(looks), then
        self.asked: list[frozenset[str]] = []
        self.at: list[float] = []
        self.during: Callable[[], object] = lambda: None
        """What happens while it looks."""

    async def look(self, namespaces: Collection[str], *, limit: int) -> Look:
        self.asked.append(frozenset(namespaces))
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        self.during()
        if not self.looks:
            assert self.then is not None, "it was not to look again"
            return self.then
        found = self.looks.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found


def hub_over(tail: Any, encode: Callable[[Event], Any] = as_it_is) -> EventHub[Any]:
    """A hub that looks there."""

    class Stored:
        def tail(self) -> Any:
            return tail

    return EventHub(cast(Storage, Stored()), encode=encode)


class ModelLog:
    """A log to which transactions write that may be open for a while, so that positions do not appear in order."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.drawn = self.dropped_to = 0
        self.committed: dict[int, Event] = {}
        self.open: dict[int, Event] = {}

    def draw(self, namespace: str, **fields: Any) -> int:
        """A position, in a transaction that stays open."""
        self.drawn += 1
        self.open[self.drawn] = event(self.drawn, namespace, **fields)
        return self.drawn

    def commit(self, position: int) -> None:
        self.committed[position] = self.open.pop(position)

    @property
    def frontier(self) -> int:
        """Up to where all is known."""
        return min(self.open, default=self.drawn + 1) - 1

    def between(self, namespaces: Collection[str], after: int, until: int) -> list[Event]:
        positions = sorted(id for id in self.committed if after < id <= until)
        return [self.committed[id] for id in positions if self.committed[id].namespace in namespaces]

    def of(self, namespace: str) -> EventLog:
        return cast(EventLog, _Pages(self, namespace))


class _Pages:
    def __init__(self, log: ModelLog, namespace: str) -> None:
        self._log, self._namespace = log, namespace
        self.looks_at = 7

    async def bounds(self) -> LogBounds:
        await self._log.turn()
        return LogBounds(self._log.dropped_to, self._log.drawn)

    async def page(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage:
        assert after < until, "there is nothing to look for"
        await self._log.turn()
        looked_at = self._log.between({self._namespace}, after, until)[: self.looks_at]
        found = [event for event in looked_at if matching.matches(event)][:limit]
        await self._log.turn()
        if after < self._log.dropped_to:
            raise PositionExpired("gone")
        if len(found) == limit:
            return EventPage(found, found[-1].id)
        return EventPage(found, looked_at[-1].id if len(looked_at) == self.looks_at else until)


class ModelTail:
    """The end of a `ModelLog`, as the port has it: it remembers where it is, and whom it has told."""

    def __init__(self, log: ModelLog) -> None:
        self._log = log
        self._frontier: int | None = None
        self._known: set[str] = set()
        self.read = 0

    async def look(self, namespaces: Collection[str], *, limit: int) -> Look:
        names = set(namespaces)
        await self._log.turn()
        end = self._log.frontier
        waits = end < self._log.drawn
        await self._log.turn()
        earlier = names & self._known
        found = [] if self._frontier is None else self._log.between(earlier, self._frontier, end)[:limit]
        self.read += len(found)
        more = len(found) == limit
        self._frontier = found[-1].id if more else end
        if not more:
            self._known = names
        await self._log.turn()
        return Look(found, dict.fromkeys(earlier if more else names, self._frontier), more=more, waits=waits)


def ids(told: Iterable[Event]) -> list[int]:
    return [event.id for event in told]


def job_ids(count: int) -> list[UUID]:
    return [new_id() for _ in range(count)]


@asynccontextmanager
async def running(hub: EventHub[Any]) -> AsyncIterator[None]:
    loop = asyncio.create_task(hub.run())
    try:
        yield
    finally:
        assert not loop.done(), "it has stopped looking"
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop
