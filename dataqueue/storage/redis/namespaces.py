"""Which namespaces there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from dataqueue.storage.redis.server import Server

_ALWAYS: Final = "default"
_LIST_ANEW: Final = 10.0


class Namespaces:
    """Looks each name up once. A name that is not there is asked for again: somebody may make it."""

    def __init__(self, server: Server, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server, self._monotonic = server, monotonic
        self._known = {_ALWAYS}
        self._listed_at = float("-inf")

    async def exists(self, name: str) -> bool:
        """Whether there is a namespace of that name."""
        if name in self._known:
            return True
        if not await self._server.run_shared("keys/find_namespace", name):
            return False
        self._known.add(name)
        return True

    async def all(self) -> list[str]:
        """The names of all of them. One that others have made in the last 10 s may be missing: upkeep asks for all of
        them twice a second, and who has stored a job in one knows it."""
        now = self._monotonic()
        if now - self._listed_at >= _LIST_ANEW:
            self._known.update(await self._server.run_shared("keys/namespaces"))
            self._listed_at = now
        return sorted(self._known)
