"""The work that any process may do at any time, in PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from dataqueue.domain.retention import Retention
from dataqueue.storage.answers import Expired, Pruned, Staged
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.ending import Ending
from dataqueue.storage.postgres.namespaces import Namespaces
from dataqueue.storage.postgres.pruning import Pruning

_TRIES: Final = 3
"""Another process may make a type at the same moment, which the next look sees."""


class PostgresUpkeep:
    """See `storage.port.Upkeep`."""

    def __init__(self, database: Database, namespaces: Namespaces) -> None:
        self._database, self._namespaces = database, namespaces
        self._pruning = Pruning(database)
        self._ending = Ending(database)

    async def stage(self, *, limit: int, namespace: str | None = None) -> Staged:
        namespace_id = await self._id_of(namespace)
        [row] = await self._database.run("upkeep/stage", limit=limit, namespace_id=namespace_id)
        admitted = await self._admit(limit, namespace_id) if row.is_to_admit else 0
        resumed = (await self._ending.expire(limit=limit, namespace_id=namespace_id)).resumed if row.is_to_end else 0
        next_due_in = None if row.next_due_in is None else float(row.next_due_in)
        return Staged(row.moved + admitted + resumed, next_due_in)

    async def _admit(self, limit: int, namespace_id: int | None) -> int:
        """Give jobs that came within a caller's transaction the types that they are waiting for; says how many."""
        admitted = 0
        for _ in range(_TRIES):
            async with self._database.transaction() as connection:
                found = await self._database.run_on(
                    connection, "upkeep/hold_new", limit=limit, namespace_id=namespace_id
                )
                if not found:
                    break
                [row] = await self._database.run_on(connection, "upkeep/admit", ids=[new.id for new in found])
            admitted += row.admitted
            if row.admitted == len(found):
                break
        return admitted

    async def expire_tokens(self, *, limit: int, namespace: str | None = None) -> Expired:
        done = await self._ending.expire(limit=limit, namespace_id=await self._id_of(namespace))
        return Expired(done.expired, done.woken)

    async def prune_tokens(self, *, keep: timedelta, limit: int, namespace: str | None = None) -> int:
        [row] = await self._database.run(
            "upkeep/prune_tokens", keep=keep.total_seconds(), limit=limit, namespace_id=await self._id_of(namespace)
        )
        return int(row.removed)

    async def reclaim(self, *, limit: int, max_crashes: int, namespace: str | None = None) -> int:
        rows = await self._database.run(
            "upkeep/reclaim", limit=limit, max_crashes=max_crashes, namespace_id=await self._id_of(namespace)
        )
        return int(rows[0].moved)

    async def prepare_event_log(self) -> None:
        await self._database.run("upkeep/prepare_event_log")

    async def prune(self, retention: Retention, *, limit: int, namespace: str | None = None) -> Pruned:
        return await self._pruning.prune(retention, limit=limit, namespace_id=await self._id_of(namespace))

    async def prune_events(self, *, keep: timedelta) -> int:
        return await self._pruning.prune_events(keep)

    async def fold_counts(self, *, limit: int) -> int:
        [row] = await self._database.run("upkeep/fold_counts", limit=limit)
        return int(row.folded)

    async def forget_workers(self, *, silent_for: timedelta) -> int:
        [row] = await self._database.run("upkeep/forget_workers", silent_for=silent_for.total_seconds())
        return int(row.removed)

    async def _id_of(self, namespace: str | None) -> int | None:
        return None if namespace is None else await self._namespaces.id_of(namespace)
