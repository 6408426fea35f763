"""The queue for programs without an event loop: Django, Flask, scripts."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal, Self, TypeVar, Unpack
from uuid import UUID

from dataqueue.domain.events import Event
from dataqueue.domain.filters import JobFilter, Position, TagMode
from dataqueue.domain.job import Enqueued, Job
from dataqueue.domain.retention import Retention
from dataqueue.errors import DataQueueError
from dataqueue.job_options import JobChanges, JobOptions
from dataqueue.job_spec import JobSpec
from dataqueue.listeners import Listener
from dataqueue.processors import Handlers, OnError, Processor
from dataqueue.queue import Queue
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import JobPage
from dataqueue.sweeping import BulkChange

T = TypeVar("T")
_EVERYTHING = JobFilter()


class SyncQueue:
    """A `Queue` on an event loop in a thread of its own. Any thread may call it; each call waits for its answer.

    After a fork it opens anew in the child on first use: connections and threads do not survive one.
    """

    def __init__(
        self, url: str | None = None, *, namespace: str | None = None, settings: WorkerSettings | None = None
    ) -> None:
        """As `Queue.open`; nothing is started before the first call."""
        self._open = lambda: Queue.open(url, namespace=namespace, settings=settings)
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is being written, and disconnect. Closing twice changes nothing."""
        with self._lock:
            running, self._running, self._is_closed = self._running, None, True
        if running is not None and running.pid == os.getpid():
            running.close()

    def add_job(
        self, job_type: str, payload: Any = None, *, connection: object | None = None, **options: Unpack[JobOptions]
    ) -> Enqueued:
        """See `Queue.add_job`. `connection`: your own Session, Connection or psycopg one, used in this thread."""
        spec = JobSpec(job_type, {} if payload is None else payload, **options)
        return self.add_jobs([spec], connection=connection)[0]

    def add_jobs(self, jobs: Iterable[JobSpec], *, connection: object | None = None) -> list[Enqueued]:
        """See `Queue.add_jobs`."""
        listed = list(jobs)
        if connection is None:
            return self._call(lambda queue: queue.add_jobs(listed))
        return self._queue().add_jobs_within(listed, connection)

    def get_job(self, job_id: UUID) -> Job:
        """See `Queue.get_job`."""
        return self._call(lambda queue: queue.get_job(job_id))

    def get_jobs(
        self, matching: JobFilter = _EVERYTHING, *, before: Position | None = None, limit: int = 50
    ) -> JobPage:
        """See `Queue.get_jobs`."""
        return self._call(lambda queue: queue.get_jobs(matching, before=before, limit=limit))

    def get_jobs_by_tags(
        self, values: Sequence[str], mode: TagMode | Literal["exact", "all", "any", "none"] = "all", *, limit: int = 50
    ) -> list[Job]:
        """See `Queue.get_jobs_by_tags`."""
        return self._call(lambda queue: queue.get_jobs_by_tags(values, mode, limit=limit))

    def get_job_events(self, job_id: UUID, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """See `Queue.get_job_events`."""
        return self._call(lambda queue: queue.get_job_events(job_id, after=after, limit=limit))

    def edit_job(self, job_id: UUID, **changes: Unpack[JobChanges]) -> Job:
        """See `Queue.edit_job`."""
        return self._call(lambda queue: queue.edit_job(job_id, **changes))

    def edit_all_pending_jobs(self, matching: JobFilter = _EVERYTHING, **changes: Unpack[JobChanges]) -> BulkChange:
        """See `Queue.edit_all_pending_jobs`."""
        return self._call(lambda queue: queue.edit_all_pending_jobs(matching, **changes))

    def cancel_job(self, job_id: UUID) -> Job:
        """See `Queue.cancel_job`."""
        return self._call(lambda queue: queue.cancel_job(job_id))

    def cancel_all_upcoming_jobs(self, matching: JobFilter = _EVERYTHING) -> BulkChange:
        """See `Queue.cancel_all_upcoming_jobs`."""
        return self._call(lambda queue: queue.cancel_all_upcoming_jobs(matching))

    def retry_job(self, job_id: UUID) -> Job:
        """See `Queue.retry_job`."""
        return self._call(lambda queue: queue.retry_job(job_id))

    def delete_job(self, job_id: UUID) -> None:
        """See `Queue.delete_job`."""
        self._call(lambda queue: queue.delete_job(job_id))

    def reclaim_stuck_jobs(self) -> int:
        """See `Queue.reclaim_stuck_jobs`."""
        return self._call(lambda queue: queue.reclaim_stuck_jobs())

    def cleanup_old_jobs(self, retention: Retention | float | timedelta = 30.0) -> int:
        """See `Queue.cleanup_old_jobs`."""
        return self._call(lambda queue: queue.cleanup_old_jobs(retention))

    def cleanup_old_job_events(self, days: float | timedelta = 30.0) -> int:
        """See `Queue.cleanup_old_job_events`."""
        return self._call(lambda queue: queue.cleanup_old_job_events(days))

    def process_batch(
        self,
        handlers: Handlers,
        *,
        batch_size: int = 10,
        job_types: Sequence[str] | None = None,
        on_error: OnError | None = None,
    ) -> int:
        """Take one batch of ready jobs, run it, and answer how many: `Queue.create_processor(…).start()`."""

        async def once(queue: Queue) -> int:
            processor: Processor = queue.create_processor(
                handlers, batch_size=batch_size, job_types=job_types, on_error=on_error
            )
            return await processor.start()

        return self._call(once)

    def on(self, event: str, listener: Listener) -> None:
        """See `Queue.on`."""
        self._queue().on(event, listener)

    def once(self, event: str, listener: Listener) -> None:
        """See `Queue.once`."""
        self._queue().once(event, listener)

    def off(self, event: str, listener: Listener) -> None:
        """See `Queue.off`."""
        self._queue().off(event, listener)

    def remove_all_listeners(self, event: str | None = None) -> None:
        """See `Queue.remove_all_listeners`."""
        self._queue().remove_all_listeners(event)

    def _call(self, what: Callable[[Queue], Coroutine[Any, Any, T]]) -> T:
        return self._ready().call(what)

    def _queue(self) -> Queue:
        return self._ready().queue

    def _ready(self) -> _Running:
        with self._lock:
            if self._is_closed:
                raise DataQueueError("this SyncQueue is closed")
            if self._running is None or self._running.pid != os.getpid():
                self._running = _Running(self._open)
            return self._running


class _Running:
    """An open queue and the loop it lives on, of one process."""

    def __init__(self, open_queue: Callable[[], Queue]) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        # A daemon: a program that forgets to close must still end.
        self._thread = threading.Thread(target=self._loop.run_forever, name="dataqueue-sync", daemon=True)
        self._thread.start()
        try:
            self.queue = asyncio.run_coroutine_threadsafe(_opened(open_queue), self._loop).result()
        except BaseException:
            self._end()
            raise

    def call(self, what: Callable[[Queue], Coroutine[Any, Any, T]]) -> T:
        if threading.current_thread() is self._thread:
            raise DataQueueError(
                "a handler or listener on the queue's own loop cannot wait for it: use the async Queue"
            )
        return asyncio.run_coroutine_threadsafe(what(self.queue), self._loop).result()

    def close(self) -> None:
        self.call(lambda queue: queue.close())
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _opened(open_queue: Callable[[], Queue]) -> Queue:
    return open_queue()
