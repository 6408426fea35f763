"""Hints, sent at once and then at most every so often (design 3.6: NOTIFY serialises commits)."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Final, Literal

from dataqueue.storage.port import Hint, Notifier

_PAUSE: Final = 0.05


class Announcer:
    """Publishes one kind of hint for one namespace: the first at once, those of the next 50 ms in one."""

    def __init__(
        self, notifier: Notifier, *, kind: Literal["ready", "cancel", "ended", "drain"], namespace: str
    ) -> None:
        self._notifier, self._kind, self._namespace = notifier, kind, namespace
        self._names: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def __call__(self, names: set[str]) -> None:
        """Say that something became true of these names; returns at once."""
        self._names |= names
        if self._task is None or self._task.done():
            # In a context of its own: names of several callers go together.
            self._task = asyncio.create_task(self._publish(), context=Context())

    async def settle(self) -> None:
        """Wait until what was said has been published."""
        if self._task is not None:
            await self._task

    async def _publish(self) -> None:
        while self._names:
            names, self._names = tuple(sorted(self._names)), set()
            await self._notifier.publish(Hint(self._kind, self._namespace, names))
            await asyncio.sleep(_PAUSE)
