"""Waiting for jobs to end: one look at the storage for everybody in this process who waits."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextvars import Context
from itertools import islice
from typing import Final
from uuid import UUID

import structlog

from dataqueue.errors import StorageUnavailable
from dataqueue.storage.port import Storage

_FASTEST: Final = 0.05
_SLOWEST: Final = 0.5
_MOST_AT_ONCE: Final = 1000
_log = structlog.get_logger(__name__)


class Watcher:
    """Asks which of the watched jobs have ended: often at first, slower while nothing happens, at once when told."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._watched: defaultdict[str, defaultdict[UUID, set[asyncio.Event]]] = defaultdict(lambda: defaultdict(set))
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def wait(self, namespace: str, job_id: UUID, *, timeout: float) -> None:
        """Return when the job has ended, the time is up, or the process is about to stop."""
        if self._closed or timeout <= 0:
            return
        ended = asyncio.Event()
        self._watched[namespace][job_id].add(ended)
        self._nudged.set()
        if self._task is None or self._task.done():
            # In a context of its own: it looks for everybody.
            self._task = asyncio.create_task(self._run(), context=Context())
        try:
            async with asyncio.timeout(timeout):
                await ended.wait()
        except TimeoutError:
            pass
        finally:
            self._forget(namespace, job_id, ended)

    def nudge(self) -> None:
        """Look now: a job has ended somewhere."""
        self._nudged.set()

    def close(self) -> None:
        """Let everybody go who waits, now and from now on."""
        self._closed = True
        for jobs in self._watched.values():
            for waiting in jobs.values():
                for ended in waiting:
                    ended.set()
        self._nudged.set()

    async def tick(self) -> int:
        """Look once at every watched job; says how many had ended."""
        found = 0
        for namespace, jobs in list(self._watched.items()):
            ids = iter(list(jobs))
            while batch := list(islice(ids, _MOST_AT_ONCE)):
                for job_id in await self._storage.jobs(namespace).ended(batch):
                    found += 1
                    for ended in jobs.get(job_id, ()):
                        ended.set()
        return found

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        pause = _FASTEST
        while self._watched and not self._closed:
            self._nudged.clear()
            looked_at = now()
            try:
                found = await self.tick()
            except Exception as error:  # noqa: BLE001 - who waits is answered when the time is up, whatever it meets
                _log.warning("watching.failing", exc_info=not isinstance(error, StorageUnavailable))
                found, pause = 0, _SLOWEST
            try:
                async with asyncio.timeout(pause * random.uniform(0.8, 1.2)):
                    await self._nudged.wait()
                # However often somebody calls, a look at a time.
                await asyncio.sleep(max(looked_at + _FASTEST - now(), 0))
                pause = _FASTEST
            except TimeoutError:
                pause = _FASTEST if found else min(pause * 1.5, _SLOWEST)

    def _forget(self, namespace: str, job_id: UUID, ended: asyncio.Event) -> None:
        jobs = self._watched[namespace]
        jobs[job_id].discard(ended)
        if not jobs[job_id]:
            del jobs[job_id]
        if not jobs:
            del self._watched[namespace]
