"""Removing what has been kept long enough, in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from dataqueue.domain.job import JobStatus
from dataqueue.domain.retention import Retention
from dataqueue.storage.answers import Pruned
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.forgetting import Held, forget

_MOST_LOOKED_AT: Final = 100_000
_GROWTH: Final = 4
_MOST_DAYS: Final = 400
_STRAY_BATCH: Final = 5000
_MOST_STRAY: Final = 20 * _STRAY_BATCH


class _Place(NamedTuple):
    """Where a walk over what has ended has got to."""

    namespace: int
    status: int
    created_at: datetime
    seq: int


_START: Final = _Place(0, 0, datetime(1, 1, 2, tzinfo=UTC), 0)


class Pruning:
    """Remembers where its walks have got to. A walk goes on there the next time, and begins again when it has come to
    the end. So jobs that were created long ago and ended lately, of which there may be millions, hold up nobody, and
    index entries of what is gone, which somebody's snapshot keeps, are passed once a walk and not with every batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._places: dict[int | None, _Place] = {}

    async def prune(self, retention: Retention, *, limit: int, namespace_id: int | None) -> Pruned:
        """See `storage.port.Upkeep.prune`. Looks at a bounded number of jobs, and goes on from there the next time."""
        kept = {
            JobStatus.COMPLETED: retention.completed,
            JobStatus.FAILED: retention.failed,
            JobStatus.CANCELLED: retention.cancelled,
        }
        given: dict[str, object] = {
            "statuses": [status.value for status in kept],
            "kept_for": [duration.total_seconds() for duration in kept.values()],
        }
        ids, place = await self._find(self._places.get(namespace_id, _START), limit, namespace_id, given)
        removed = await self._remove(ids, given) if ids else 0
        self._places[namespace_id] = place
        return Pruned(removed, is_end=place == _START)

    async def _find(
        self, place: _Place, limit: int, namespace_id: int | None, given: dict[str, object]
    ) -> tuple[list[UUID], _Place]:
        ids: list[UUID] = []
        budget, looked_at, is_half_way = limit, 0, place != _START
        while True:
            [row] = await self._database.run(
                "upkeep/find_ended", **given, namespace_id=namespace_id, limit=limit - len(ids), budget=budget,
                from_namespace=place.namespace, from_place=place.status, from_created_at=place.created_at,
                from_seq=place.seq,
            )  # fmt: skip
            ids += row.ids
            if row.is_end and not is_half_way:
                return ids, _START
            place = _START if row.is_end else _Place(row.namespace_id, row.place, row.created_at, row.seq)
            is_half_way = is_half_way and not row.is_end
            looked_at += budget
            if len(ids) >= limit or looked_at >= _MOST_LOOKED_AT:
                return ids, place
            budget = min(budget * _GROWTH, _MOST_LOOKED_AT - looked_at)

    async def _remove(self, ids: list[UUID], given: dict[str, object]) -> int:
        try:
            async with self._database.transaction() as connection:
                rows = await self._database.run_on(connection, "upkeep/prune", ids=ids, **given)
                await forget(self._database, connection, rows)
        except Held:
            return 0  # the next walk meets these jobs again
        return len(rows)

    async def prune_events(self, keep: timedelta) -> int:
        """See `storage.port.Upkeep.prune_events`. A day is a transaction of its own."""
        removed, given = 0, {"keep": keep.total_seconds()}
        for _ in range(_MOST_DAYS):
            [row] = await self._database.run("upkeep/drop_event_day", **given)
            if row.dropped is None:
                break
            removed += row.dropped
        for _ in range(_MOST_STRAY // _STRAY_BATCH):
            [row] = await self._database.run("upkeep/prune_stray_events", **given, limit=_STRAY_BATCH)
            removed += row.removed
            if row.removed < _STRAY_BATCH:
                break
        return removed
