"""Tickets to the event stream in Redis."""

from __future__ import annotations

from datetime import datetime, timedelta

from dataqueue.errors import StorageRefused
from dataqueue.storage.redis.instants import instant_of, micros
from dataqueue.storage.redis.server import Server


class RedisTicketStore:
    """See `storage.port.TicketStore`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def issue(self, digest: bytes, *, namespace: str, lifetime: timedelta) -> datetime:
        expires_at = await self._server.run_shared("tickets/issue", digest.hex(), namespace, micros(lifetime))
        if expires_at is None:
            raise StorageRefused("a ticket of the same digest is there")
        return instant_of(str(expires_at))

    async def redeem(self, digest: bytes) -> str | None:
        namespace: str | None = await self._server.run_shared("tickets/redeem", digest.hex())
        return namespace
