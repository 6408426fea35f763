"""What a running API process holds, put together once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from app.auth import Authenticator, is_loopback
from app.importing import Imports
from app.metrics import Metrics, of_hub
from app.sse import EventStreams, event_frame
from app.watching import Watcher
from dataqueue.announcing import Announcer
from dataqueue.domain.edit import UNSET, JobEdit
from dataqueue.domain.job import NewJob
from dataqueue.enqueuing import Enqueuer
from dataqueue.settings import Settings
from dataqueue.staging import Stager
from dataqueue.storage.port import Hint, Storage
from dataqueue.streaming.hub import EventHub

_LOOK_FOR_DUE: Final = 5.0
Kind = Literal["ready", "cancel", "ended", "drain"]


class Service:
    """The storage, and what shares it among requests: enqueuers by namespace, the watcher, the hub, the stager."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self.settings, self.storage = settings, storage
        self.auth = Authenticator(
            storage.keys,
            open_access=settings.open_access,
            loopback=is_loopback(settings.host),
            origins=settings.cors_origins,
        )
        self.metrics = Metrics(storage)
        self.watcher = Watcher(storage)
        self.imports = Imports()
        self.hub = EventHub(storage, encode=event_frame)
        self.metrics.sources.append(of_hub(self.hub))
        self.streams = EventStreams(most=settings.max_streams)
        self.stager = Stager(storage.upkeep, announce=self._announce_staged, longest_sleep=_LOOK_FOR_DUE)
        self.stopping = False
        self._enqueuers: dict[str, Enqueuer] = {}
        self._announcers: dict[tuple[Kind, str], Announcer] = {}

    def enqueuer(self, namespace: str) -> Enqueuer:
        """The one through which this process enqueues into a namespace."""
        enqueuer = self._enqueuers.get(namespace)
        if enqueuer is None:
            announce = self.announcer("ready", namespace)
            enqueuer = self._enqueuers[namespace] = Enqueuer(
                self.storage.jobs(namespace), announce=announce, created=self.metrics.creations_in(namespace)
            )
        return enqueuer

    def announce(self, kind: Kind, namespace: str, name: str) -> None:
        """Tell whoever waits, here and elsewhere, that something happened to a job of that type, or to that worker."""
        self.announcer(kind, namespace)({name})
        if kind == "ended":
            self.watcher.nudge()

    def announcer(self, kind: Kind, namespace: str) -> Announcer:
        """The one through which this process says such a thing of a namespace."""
        announcer = self._announcers.get((kind, namespace))
        if announcer is None:
            announcer = Announcer(self.storage.notifier, kind=kind, namespace=namespace)
            self._announcers[kind, namespace] = announcer
        return announcer

    def expect_due(self, jobs: Sequence[NewJob]) -> None:
        """Have this process look when the first of these jobs, just stored, is due."""
        for job in jobs:
            if job.delay is not None:
                self.stager.expect(job.delay.total_seconds())
            elif job.run_at is not None:
                self.stager.expect((job.run_at - datetime.now(UTC)).total_seconds())

    def expect_edited(self, edit: JobEdit) -> None:
        """Have this process look when jobs of these new values are due."""
        if edit.delay is not UNSET:
            self.stager.expect(edit.delay.total_seconds())
        elif isinstance(edit.run_at, datetime):
            self.stager.expect((edit.run_at - datetime.now(UTC)).total_seconds())

    def stop_waiting(self) -> None:
        """The process is to end: answer who waits now, and be no longer ready."""
        self.stopping = True
        self.watcher.close()
        self.imports.close()
        self.streams.close()

    async def settle(self) -> None:
        """Wait until what was accepted has been written and announced."""
        await self.imports.settle()
        await asyncio.gather(*(enqueuer.settle() for enqueuer in self._enqueuers.values()))
        await asyncio.gather(*(announcer.settle() for announcer in self._announcers.values()))

    async def _announce_staged(self) -> None:
        # Staging does not say whose jobs they were: those this process enqueues for are the likely ones.
        for namespace in {"default", *self._enqueuers}:
            await self.storage.notifier.publish(Hint("ready", namespace))
