"""Removing what has been kept long enough, in Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from dataqueue.domain.job import JobStatus
from dataqueue.domain.retention import Retention
from dataqueue.storage.answers import Pruned
from dataqueue.storage.redis.instants import micros
from dataqueue.storage.redis.looking import look_at
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.server import Server, Value

_MOST_LOOKED_AT: Final = 100_000
_LOOKED_AT_ONCE: Final = 1000
_GONE_AT_ONCE: Final = 50
_EVENTS_AT_ONCE: Final = 5000


class _Place(NamedTuple):
    """Where a walk over what has ended has got to; see `lua/upkeep/prune.lua`."""

    namespace: str
    status: int = 1
    created_at: str = ""
    passed: int = 0


_START: Final = _Place("")


class _Walk:
    """One call's walk, and what it has done so far."""

    def __init__(self, server: Server, retention: Retention, *, limit: int) -> None:
        self._server, self._limit = server, limit
        self._kept: dict[JobStatus, timedelta] = {
            JobStatus.COMPLETED: retention.completed,
            JobStatus.FAILED: retention.failed,
            JobStatus.CANCELLED: retention.cancelled,
        }
        self.removed = self._looked_at = 0

    async def over(self, names: list[str], place: _Place) -> _Place | None:
        """Walk over these namespaces from after a place; where it stopped, None at the end."""
        for name in await self._having_some([name for name in names if name >= place.namespace]):
            at: _Place | None = place if name == place.namespace else _Place(name)
            while at is not None:
                if self.removed >= self._limit or self._looked_at >= _MOST_LOOKED_AT:
                    return at
                at = await self._on(at)
        return None

    async def _having_some(self, names: list[str]) -> list[str]:
        """Those that have jobs which were created long enough ago to have ended long enough ago."""
        ages = [micros(kept_for) for kept_for in self._kept.values()]
        looks = await look_at(self._server, names, *(f"st:{status}" for status in self._kept))
        return [
            one.namespace
            for one in looks
            if any(oldest is not None and oldest < one.now - age for oldest, age in zip(one.lowest, ages, strict=True))
        ]

    async def _on(self, place: _Place) -> _Place | None:
        rules: list[Value] = []
        for status, kept_for in self._kept.items():
            rules += [status, micros(kept_for)]
        room = min(self._limit - self.removed, _GONE_AT_ONCE)
        where = (place.status, place.created_at, place.passed)
        done = await self._server.run("upkeep/prune", place.namespace, room, _LOOKED_AT_ONCE, *where, *rules)
        gone, looked_at, number, created_at, passed = done
        self.removed += gone
        self._looked_at += looked_at
        return _Place(place.namespace, number, created_at, passed) if number else None


class Pruning:
    """Remembers where its walks have got to. A walk goes on there the next time, and begins again when it has come to
    the end. So jobs that were created long ago and ended lately, of which there may be millions, hold up nobody."""

    def __init__(self, server: Server, namespaces: Namespaces) -> None:
        self._server, self._namespaces = server, namespaces
        self._places: dict[str | None, _Place] = {}

    async def prune(self, retention: Retention, *, limit: int, namespace: str | None) -> Pruned:
        """See `storage.port.Upkeep.prune`. Looks at a bounded number of jobs, and goes on from there the next time."""
        names = await self._namespaces.all() if namespace is None else [namespace]
        walk, began = _Walk(self._server, retention, limit=limit), self._places.get(namespace, _START)
        place = await walk.over(names, began)
        if place is None and began != _START:
            place = await walk.over(names, _START)
        self._places[namespace] = place or _START
        return Pruned(walk.removed, is_end=place is None)

    async def prune_events(self, keep: timedelta) -> int:
        """See `storage.port.Upkeep.prune_events`."""
        removed = 0
        for name in await self._namespaces.all():
            while gone := int(await self._server.run("events/prune", name, micros(keep), _EVENTS_AT_ONCE)):
                removed += gone
        return removed
