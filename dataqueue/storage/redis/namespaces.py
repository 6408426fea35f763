"""Which namespaces there are."""

from __future__ import annotations

from typing import Final

from dataqueue.storage.redis.server import Server

_ALWAYS: Final = "default"


class Namespaces:
    """Looks each name up once. A name that is not there is asked for again: somebody may make it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known = {_ALWAYS}

    async def exists(self, name: str) -> bool:
        """Whether there is a namespace of that name."""
        if name in self._known:
            return True
        if not await self._server.run_shared("keys/find_namespace", name):
            return False
        self._known.add(name)
        return True

    async def all(self) -> list[str]:
        """The names of all of them."""
        return sorted({_ALWAYS, *await self._server.run_shared("keys/namespaces")})
