"""Hears the hints that concern this worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from dataqueue.processing.backoff import Backoff
from dataqueue.storage.port import Hint, Notifier

log = structlog.get_logger(__name__)


class HintListener:
    """Passes on four things: jobs we serve may be ready, a running one is to be cancelled, some are to be admitted, and
    this worker has new orders. All of them may be so when it begins to listen."""

    def __init__(
        self,
        *,
        notifier: Notifier,
        namespace: str,
        job_types: Iterable[str],
        ready: Callable[[], None],
        cancel: Callable[[], None],
        admit: Callable[[], None] = lambda: None,
        worker_id: str = "",
        orders: Callable[[], None] = lambda: None,
    ) -> None:
        self._notifier, self._namespace, self._job_types = notifier, namespace, frozenset(job_types)
        self._ready, self._cancel, self._admit = ready, cancel, admit
        self._worker_id, self._orders = worker_id, orders

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async with self._notifier.listen() as hints:
                    async for hint in hints:
                        backoff.reset()
                        self.hear(hint)
            except Exception:
                # Nobody depends on hints; the notifier sits out what it foresees.
                log.exception("hints.failing")
            await asyncio.sleep(backoff.next())

    def hear(self, hint: Hint) -> None:
        if hint.kind == "listening":
            for tell in (self._ready, self._cancel, self._admit, self._orders):
                tell()
        if hint.namespace != self._namespace:
            return
        if hint.kind == "cancel":
            self._cancel()
        elif hint.kind == "admit":
            self._admit()
        elif hint.kind == "drain" and (not hint.names or self._worker_id in hint.names):
            self._orders()
        elif hint.kind == "ready" and (not hint.names or not self._job_types.isdisjoint(hint.names)):
            self._ready()
