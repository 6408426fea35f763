"""The queue for programs without an event loop: Django, Flask, scripts."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Generic, Literal, Self, TypeVar, Unpack
from uuid import UUID
from weakref import WeakSet

from dataqueue.domain.events import EVERYTHING, Event, EventFilter
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Enqueued, Job
from dataqueue.domain.tokens import ANY_TOKEN, Token, TokenFilter, TokenPosition
from dataqueue.errors import DataQueueError
from dataqueue.job_fields import Duration
from dataqueue.job_options import JobChanges, JobOptions
from dataqueue.job_spec import JobSpec
from dataqueue.listeners import Listener
from dataqueue.processors import Handlers, OnError, Processor, registry_of
from dataqueue.queue import Mode, Queue
from dataqueue.queue_events import EventKind
from dataqueue.queue_upkeep import Age
from dataqueue.settings import WorkerSettings
from dataqueue.storage.answers import JobPage, TokenPage
from dataqueue.supervising import QueueSupervisor
from dataqueue.sweeping import BulkChange
from dataqueue.sync_loop import QueueLoop, closed
from dataqueue.tokens import CreatedToken

T = TypeVar("T")
W = TypeVar("W", Processor, QueueSupervisor)
_EVERYTHING: Final = JobFilter()
_NOTHING: Final[dict[str, Any]] = {}


class SyncQueue:
    """A `Queue` on an event loop in a thread of its own. Any thread may call it; each call waits for its answer.

    After a fork it opens anew in the child on first use, with the same listeners: connections and threads do not
    survive one.
    """

    def __init__(
        self, url: str | None = None, *, namespace: str | None = None, settings: WorkerSettings | None = None
    ) -> None:
        """As `Queue`; nothing is started before the first call."""
        self._open = partial(Queue, url, namespace=namespace, settings=settings)
        self._lock = threading.Lock()
        self._loop: QueueLoop | None = None
        self._inherited: list[tuple[str, Listener, bool]] = []
        self._is_closed = False
        _ALL.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what it runs, wait for what is being written, and disconnect. Closing twice changes nothing."""
        with self._lock:
            loop, self._loop, self._is_closed = self._loop, None, True
        if loop is not None:
            loop.close()

    def add_job(
        self,
        job_type: str,
        payload: Any = _NOTHING,
        *,
        connection: object | None = None,
        **options: Unpack[JobOptions],
    ) -> Enqueued:
        """See `Queue.add_job`. `connection`: your own Session, Connection or psycopg one, used in this thread."""
        if connection is not None:
            return self._queue().add_jobs_within([JobSpec(job_type, payload, **options)], connection)[0]
        return self._call(lambda queue: queue.add_job(job_type, payload, **options))

    def add_jobs(self, jobs: Iterable[JobSpec], *, connection: object | None = None) -> list[Enqueued]:
        """See `Queue.add_jobs`."""
        listed = list(jobs)
        if connection is not None:
            return self._queue().add_jobs_within(listed, connection)
        return self._call(lambda queue: queue.add_jobs(listed))

    def get_job(self, job_id: UUID | str) -> Job:
        """See `Queue.get_job`."""
        return self._call(lambda queue: queue.get_job(job_id))

    def get_jobs(
        self, matching: JobFilter = _EVERYTHING, *, before: Position | None = None, limit: int = 50
    ) -> JobPage:
        """See `Queue.get_jobs`."""
        return self._call(lambda queue: queue.get_jobs(matching, before=before, limit=limit))

    def get_jobs_by_tags(self, values: Sequence[str], mode: Mode = "all", *, limit: int = 50) -> list[Job]:
        """See `Queue.get_jobs_by_tags`."""
        return self._call(lambda queue: queue.get_jobs_by_tags(values, mode, limit=limit))

    def get_job_events(self, job_id: UUID | str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """See `Queue.get_job_events`."""
        return self._call(lambda queue: queue.get_job_events(job_id, after=after, limit=limit))

    def events(
        self, matching: EventFilter = EVERYTHING, *, after: int | Literal["now", "start"] = "now"
    ) -> Generator[Event]:
        """See `Queue.events`. Leave it early with `contextlib.closing`; closing the queue ends it with an error."""
        loop = self._running()
        events = loop.queue.events(matching, after=after)

        async def next_event(_: Queue) -> Event:
            return await anext(events)

        async def leave(_: Queue) -> None:
            await events.aclose()

        try:
            while True:
                yield loop.call(next_event)
        finally:
            with suppress(DataQueueError):  # the loop is closed, and so is the iteration
                loop.call(leave)

    def edit_job(self, job_id: UUID | str, **changes: Unpack[JobChanges]) -> Job:
        """See `Queue.edit_job`."""
        return self._call(lambda queue: queue.edit_job(job_id, **changes))

    def edit_all_pending_jobs(self, matching: JobFilter = _EVERYTHING, **changes: Unpack[JobChanges]) -> BulkChange:
        """See `Queue.edit_all_pending_jobs`."""
        return self._call(lambda queue: queue.edit_all_pending_jobs(matching, **changes))

    def cancel_job(self, job_id: UUID | str) -> Job:
        """See `Queue.cancel_job`."""
        return self._call(lambda queue: queue.cancel_job(job_id))

    def cancel_all_upcoming_jobs(self, matching: JobFilter = _EVERYTHING) -> BulkChange:
        """See `Queue.cancel_all_upcoming_jobs`."""
        return self._call(lambda queue: queue.cancel_all_upcoming_jobs(matching))

    def retry_job(self, job_id: UUID | str) -> Job:
        """See `Queue.retry_job`."""
        return self._call(lambda queue: queue.retry_job(job_id))

    def delete_job(self, job_id: UUID | str) -> None:
        """See `Queue.delete_job`."""
        self._call(lambda queue: queue.delete_job(job_id))

    def create_token(self, *, timeout: Duration | None = None, tags: Sequence[str] = ()) -> CreatedToken:
        """See `Queue.create_token`."""
        return self._call(lambda queue: queue.create_token(timeout=timeout, tags=tags))

    def get_token(self, token_id: UUID | str) -> Token:
        """See `Queue.get_token`."""
        return self._call(lambda queue: queue.get_token(token_id))

    def get_tokens(
        self, matching: TokenFilter = ANY_TOKEN, *, before: TokenPosition | None = None, limit: int = 50
    ) -> TokenPage:
        """See `Queue.get_tokens`."""
        return self._call(lambda queue: queue.get_tokens(matching, before=before, limit=limit))

    def complete_token(self, token_id: UUID | str, output: Any = None) -> Token:
        """See `Queue.complete_token`."""
        return self._call(lambda queue: queue.complete_token(token_id, output))

    def expire_timed_out_tokens(self) -> int:
        """See `Queue.expire_timed_out_tokens`."""
        return self._call(lambda queue: queue.expire_timed_out_tokens())

    def reclaim_stuck_jobs(self) -> int:
        """See `Queue.reclaim_stuck_jobs`."""
        return self._call(lambda queue: queue.reclaim_stuck_jobs())

    def cleanup_old_jobs(self, retention: Age = 30.0) -> int:
        """See `Queue.cleanup_old_jobs`."""
        return self._call(lambda queue: queue.cleanup_old_jobs(retention))

    def cleanup_old_job_events(self, days: float | timedelta = 30.0) -> int:
        """See `Queue.cleanup_old_job_events`."""
        return self._call(lambda queue: queue.cleanup_old_job_events(days))

    def create_processor(
        self,
        handlers: Handlers,
        *,
        worker_id: str | None = None,
        batch_size: int = 10,
        concurrency: int | None = None,
        poll_interval: float | timedelta | None = None,
        job_types: Sequence[str] | None = None,
        on_error: OnError | None = None,
    ) -> SyncProcessor:
        """See `Queue.create_processor`. Handlers run in threads, or, if `async def`, on this queue's own loop."""
        registry = registry_of(handlers, local_names=sys._getframe(1).f_locals)
        return SyncProcessor(
            self,
            lambda queue: queue.create_processor(
                registry,
                worker_id=worker_id,
                batch_size=batch_size,
                concurrency=concurrency,
                poll_interval=poll_interval,
                job_types=job_types,
                on_error=on_error,
            ),
        )

    def create_supervisor(
        self,
        *,
        interval: float | timedelta = 60.0,
        reclaim_stuck_jobs: bool = True,
        expire_timed_out_tokens: bool = True,
        cleanup_jobs_after: Age | None = 30.0,
        cleanup_tokens_after: float | timedelta | None = 30.0,
        cleanup_events_after: float | timedelta | None = 30.0,
        on_error: OnError | None = None,
    ) -> SyncSupervisor:
        """See `Queue.create_supervisor`."""
        return SyncSupervisor(
            self,
            lambda queue: queue.create_supervisor(
                interval=interval,
                reclaim_stuck_jobs=reclaim_stuck_jobs,
                expire_timed_out_tokens=expire_timed_out_tokens,
                cleanup_jobs_after=cleanup_jobs_after,
                cleanup_tokens_after=cleanup_tokens_after,
                cleanup_events_after=cleanup_events_after,
                on_error=on_error,
            ),
        )

    def on(self, event: EventKind, listener: Listener) -> None:
        """See `Queue.on`."""
        self._queue().on(event, listener)

    def once(self, event: EventKind, listener: Listener) -> None:
        """See `Queue.once`."""
        self._queue().once(event, listener)

    def off(self, event: EventKind, listener: Listener) -> None:
        """See `Queue.off`."""
        self._queue().off(event, listener)

    def remove_all_listeners(self, event: EventKind | None = None) -> None:
        """See `Queue.remove_all_listeners`."""
        self._queue().remove_all_listeners(event)

    def _call(self, what: Callable[[Queue], Coroutine[Any, Any, T]]) -> T:
        return self._running().call(what)

    def _queue(self) -> Queue:
        return self._running().queue

    def _running(self) -> QueueLoop:
        with self._lock:
            if self._is_closed:
                raise closed()
            if self._loop is None:
                self._loop = QueueLoop(self._open)
                for event, listener, once in self._inherited:
                    self._loop.queue._listeners.add(event, listener, once=once)
                self._inherited = []
            return self._loop

    def _begin_anew(self) -> None:
        """In the child of a fork, where the loop's thread is not, and the lock may be held for ever."""
        self._lock = threading.Lock()
        if self._loop is not None:
            self._loop.forsake()
            _FORSAKEN.append(self._loop)
            self._inherited = self._loop.queue._listeners.registered()
            self._loop = None


class _SyncWork(Generic[W]):
    """What runs on the loop of a `SyncQueue`, made anew after a fork."""

    def __init__(self, queue: SyncQueue, make: Callable[[Queue], W]) -> None:
        self._queue = queue
        self._make: Callable[[Queue], W] = make
        self._made: tuple[Queue, W] | None = None
        # At once: what is wrong with the arguments is raised where they are given.
        self._call(_nothing)

    @property
    def is_running(self) -> bool:
        """Whether it is at work in this process."""
        loop, made = self._queue._loop, self._made
        return loop is not None and made is not None and made[0] is loop.queue and made[1].is_running

    def start_in_background(self) -> None:
        """Go on until it is stopped; returns at once. While it is at work already, nothing changes."""
        self._call(_in_background)

    def stop(self) -> None:
        """As its asynchronous counterpart."""
        self._call(lambda work: work.stop())

    def stop_and_drain(self, timeout: float | timedelta = 30.0) -> None:
        """As its asynchronous counterpart."""
        self._call(lambda work: work.stop_and_drain(timeout))

    def _call(self, what: Callable[[W], Coroutine[Any, Any, T]]) -> T:
        async def call(queue: Queue) -> T:
            if self._made is None or self._made[0] is not queue:
                self._made = queue, self._make(queue)
            return await what(self._made[1])

        return self._queue._call(call)


class SyncProcessor(_SyncWork[Processor]):
    """A `Processor` that any thread may call. Made by `SyncQueue`."""

    def start(self) -> int:
        """See `Processor.start`."""
        return self._call(lambda processor: processor.start())


class SyncSupervisor(_SyncWork[QueueSupervisor]):
    """A `QueueSupervisor` that any thread may call. Made by `SyncQueue`."""

    def start(self) -> dict[str, int]:
        """See `QueueSupervisor.start`."""
        return self._call(lambda supervisor: supervisor.start())


async def _nothing(_: object) -> None: ...


async def _in_background(work: Processor | QueueSupervisor) -> None:
    work.start_in_background()


_ALL: Final[WeakSet[SyncQueue]] = WeakSet()
_FORSAKEN: Final[list[QueueLoop]] = []
"""Of the parent of a fork: to close them, or to let them be collected, might speak on the parent's connections."""


def _after_fork() -> None:
    for queue in list(_ALL):
        queue._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
