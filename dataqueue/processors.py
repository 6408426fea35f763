"""Processors: workers inside somebody's own process, for `Queue.create_processor`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import structlog

from dataqueue.domain.job import Failure, Json
from dataqueue.handlers import HandlerRegistry
from dataqueue.listeners import Listeners
from dataqueue.processing.leases import Held
from dataqueue.processing.worker import Worker
from dataqueue.queue_events import JobCancelled, JobCompleted, JobEvent, JobFailed, JobProcessing
from dataqueue.staging import Stager

log = structlog.get_logger(__name__)

Handlers = HandlerRegistry | Mapping[str, Callable[..., object]]
OnError = Callable[[BaseException], object]
_LARGEST_BATCH: Final = 1000


class Processor:
    """Takes jobs and runs their handlers in this process, on the loop it is started on. Made by `Queue`.

    `start` does one batch; `start_in_background` goes on until `stop` or `stop_and_drain`. Leases, fencing and retries
    are those of a worker process; what a process of its own adds (isolation after a crash, restarts) is not there.
    """

    def __init__(
        self,
        *,
        make_worker: Callable[[], Worker],
        stager: Stager,
        batch_size: int,
        on_error: OnError | None,
        listeners: Listeners,
    ) -> None:
        self._make_worker, self._stager, self._batch_size = make_worker, stager, batch_size
        self._on_error, self._listeners = on_error, listeners
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it works in the background."""
        return self._task is not None and not self._task.done()

    async def start(self) -> int:
        """Make due jobs ready, take one batch, run it, and answer how many jobs when every outcome is written.

        What goes wrong around the handlers is raised, and told as `queue:error`; a handler that fails fails its job.
        """
        try:
            await self._stager.tick()
            return await self._make_worker().run_batch(min(self._batch_size, _LARGEST_BATCH))
        except Exception as error:
            self._tell(error)
            raise

    def start_in_background(self) -> None:
        """Go on taking jobs as they come; returns at once. Starting twice changes nothing."""
        if not self.is_running:
            self._stop, self._hurry = asyncio.Event(), asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Take no more jobs, and give back what runs, with its attempt."""
        self._hurry.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop_and_drain(self, timeout: float | timedelta = 30.0) -> None:
        """Take no more jobs, let running ones finish for at most so long (seconds), and give back the rest."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
        await self.stop()

    async def _run(self) -> None:
        staging = asyncio.create_task(self._stager.run())
        try:
            await self._keep_working()
        finally:
            staging.cancel()

    async def _keep_working(self) -> None:
        pause = 0.1
        while not (self._stop.is_set() or self._hurry.is_set()):
            try:
                await self._make_worker().run(self._stop, self._hurry)
            except Exception as error:  # noqa: BLE001 - told to the caller, who is not here to catch it
                self._tell(error)
                await _first_of(self._stop, self._hurry, within=pause)
                pause = min(pause * 2, 5.0)

    def _tell(self, error: BaseException) -> None:
        tell_error(error, "processor", self._listeners, self._on_error)


class Told:
    """A processor's observer: what it did becomes events of the queue."""

    def __init__(self, listeners: Listeners, worker_id: str, on_error: OnError | None) -> None:
        self._listeners, self._worker_id, self._on_error = listeners, worker_id, on_error

    def started(self, held: Held) -> None:
        if self._listeners.hears(JobProcessing.event):
            self._tell(JobProcessing, held, attempt=held.job.attempts, worker_id=self._worker_id)

    def completed(self, held: Held, output: Json | None) -> None:
        if self._listeners.hears(JobCompleted.event):
            self._tell(JobCompleted, held, attempt=held.job.attempts)

    def failed(self, held: Held, failure: Failure) -> None:
        will_retry = failure.retry_after is not None and held.job.attempts < held.job.max_attempts
        self._tell(
            JobFailed,
            held,
            attempt=held.job.attempts,
            message=failure.message,
            reason=failure.reason,
            will_retry=will_retry,
            retry_after=failure.retry_after if will_retry else None,
        )

    def cancelled(self, held: Held) -> None:
        self._tell(JobCancelled, held)

    def troubled(self, error: Exception, *, source: str) -> None:
        tell_error(error, source, self._listeners, self._on_error)

    def _tell(self, kind: type[JobEvent], held: Held, **fields: Any) -> None:
        self._listeners.tell(kind(job_id=held.job.id, job_type=held.job.job_type, **fields))


def tell_error(error: BaseException, source: str, listeners: Listeners, on_error: OnError | None) -> None:
    """Both ways, neither of which depends on the other."""
    listeners.tell_error(error, source)
    if on_error is not None:
        try:
            on_error(error)
        except Exception:
            log.exception("on_error.failed")


def registry_of(handlers: Handlers) -> HandlerRegistry:
    """Handlers by job type, as a worker takes them. Invalid names a handler that cannot be called with a job."""
    if isinstance(handlers, HandlerRegistry):
        return handlers
    registry = HandlerRegistry()
    for job_type, function in handlers.items():
        registry.handler(job_type)(function)
    return registry


async def _first_of(*events: asyncio.Event, within: float) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
