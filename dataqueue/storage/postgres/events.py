"""The event log of one namespace in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

from dataqueue.domain.events import Event
from dataqueue.errors import NotFound
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.namespaces import Namespaces
from dataqueue.storage.postgres.rows import event_of


class PostgresEventLog:
    """See `storage.port.EventLog`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace

    async def of_job(self, job_id: UUID, *, after: int, limit: int) -> list[Event]:
        namespace_id = await self._namespaces.id_of(self._namespace)
        rows = await self._database.run("events/of_job", id=job_id, namespace_id=namespace_id, after=after, limit=limit)
        if not rows and not await self._database.run("jobs/get", id=job_id, namespace_id=namespace_id):
            raise NotFound(f"no job {job_id}")
        return [event_of(row) for row in rows]
