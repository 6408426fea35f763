"""Tickets to the event stream in PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta

from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.namespaces import Namespaces


class PostgresTicketStore:
    """See `storage.port.TicketStore`."""

    def __init__(self, database: Database, namespaces: Namespaces) -> None:
        self._database, self._namespaces = database, namespaces

    async def issue(self, digest: bytes, *, namespace: str, lifetime: timedelta) -> datetime:
        namespace_id = await self._namespaces.id_of(namespace)
        [row] = await self._database.run(
            "tickets/issue", digest=digest, namespace_id=namespace_id, lifetime=lifetime.total_seconds()
        )
        expires_at: datetime = row.expires_at
        return expires_at

    async def redeem(self, digest: bytes) -> str | None:
        rows = await self._database.run("tickets/redeem", digest=digest)
        return rows[0].namespace if rows else None
