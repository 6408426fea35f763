"""Connections that nobody uses just now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from dataqueue.egress.addresses import Address
from dataqueue.egress.connection import Connection

# Whom it was made for, and scheme, host and port. Another namespace never gets it: what one tenant's receiver still has
# to say is nothing to another's.
Key = tuple[str, str, str, int]

# Most servers hang up after five seconds or more: we do before.
_IDLE_FOR: Final = 4.0
# Then its name is resolved anew, and the certificate looked at.
_OLDEST: Final = 60.0
_MOST_OF_A_KEY: Final = 64
_MOST: Final = 1024


class IdleConnections:
    """Keeps them for a few seconds, and hands out the one that was used last."""

    def __init__(self) -> None:
        self._kept: dict[Key, dict[Connection, asyncio.TimerHandle]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, key: Key, allowed: Callable[[Address, int], bool]) -> Connection | None:
        """One that is open, and whose address is still allowed."""
        kept = self._kept.get(key)
        while kept:
            connection = next(reversed(kept))
            self._forget(key, connection)
            is_young = asyncio.get_running_loop().time() - connection.made_at < _OLDEST
            if connection.is_open and is_young and allowed(connection.address, key[3]):
                return connection
            connection.close()
        return None

    def keep(self, key: Key, connection: Connection) -> None:
        """For the next call, should it come soon."""
        kept = self._kept.setdefault(key, {})
        if self._count >= _MOST or len(kept) >= _MOST_OF_A_KEY:
            if not kept:
                del self._kept[key]
            connection.close()
            return
        kept[connection] = asyncio.get_running_loop().call_later(_IDLE_FOR, self._drop, key, connection)
        self._count += 1
        connection.when_gone = lambda: self._drop(key, connection)

    def close(self) -> None:
        """Close them all."""
        for key, kept in list(self._kept.items()):
            for connection in list(kept):
                self._drop(key, connection)

    def _drop(self, key: Key, connection: Connection) -> None:
        self._forget(key, connection)
        connection.close()

    def _forget(self, key: Key, connection: Connection) -> None:
        kept = self._kept[key]
        kept.pop(connection).cancel()
        connection.when_gone = None
        self._count -= 1
        if not kept:
            del self._kept[key]
