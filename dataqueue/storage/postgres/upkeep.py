"""The work that any process may do at any time, in PostgreSQL."""

from __future__ import annotations

from dataqueue.storage.port import Staged
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.namespaces import Namespaces


class PostgresUpkeep:
    """See `storage.port.Upkeep`."""

    def __init__(self, database: Database, namespaces: Namespaces) -> None:
        self._database, self._namespaces = database, namespaces

    async def stage(self, *, limit: int, namespace: str | None = None) -> Staged:
        row = (await self._database.run("upkeep/stage", limit=limit, namespace_id=await self._id_of(namespace)))[0]
        return Staged(row.moved, None if row.next_due_in is None else float(row.next_due_in))

    async def reclaim(self, *, limit: int, max_crashes: int, namespace: str | None = None) -> int:
        rows = await self._database.run(
            "upkeep/reclaim", limit=limit, max_crashes=max_crashes, namespace_id=await self._id_of(namespace)
        )
        return int(rows[0].moved)

    async def prepare_event_log(self) -> None:
        await self._database.run("upkeep/prepare_event_log")

    async def _id_of(self, namespace: str | None) -> int | None:
        return None if namespace is None else await self._namespaces.id_of(namespace)
