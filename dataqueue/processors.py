"""Processors: workers inside somebody's own process, for `Queue.create_processor`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from dataqueue import job_fields as fields
from dataqueue.domain.job import Failure, Json, Note
from dataqueue.domain.limits import LARGEST_BATCH
from dataqueue.domain.steps import Wait
from dataqueue.errors import Conflict, Invalid
from dataqueue.handlers import HandlerRegistry
from dataqueue.ids import new_worker_id
from dataqueue.listeners import Listeners
from dataqueue.processing.leases import Held
from dataqueue.processing.observing import will_retry
from dataqueue.processing.worker import Worker
from dataqueue.queue_events import (
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobProcessing,
    JobProgress,
    JobWaiting,
)
from dataqueue.queue_opening import Opened
from dataqueue.settings import WorkerSettings
from dataqueue.staging import Stager

T = TypeVar("T")
Handlers = HandlerRegistry | Mapping[str, Callable[..., object]]
OnError = Callable[[BaseException], object]
TellError = Callable[[BaseException, str], None]
_MOST_SLOTS: Final = 10_000
_NO_HURRY: Final = 1e9  # a drain is as long as its caller says
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class Processor:
    """Takes jobs and runs their handlers in this process, on the loop it is started on. Made by `Queue`.

    `start` does one batch; `start_in_background` goes on until `stop` or `stop_and_drain`. Leases, fencing and retries
    are those of a worker process; what a process of its own adds (isolation after a crash, restarts) is not there.
    """

    def __init__(
        self, *, make_worker: Callable[[], Worker], stager: Stager, batch_size: int, tell_error: TellError
    ) -> None:
        self._make_worker, self._stager, self._batch_size = make_worker, stager, batch_size
        self._tell_error = tell_error
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is at work."""
        return self._task is not None and not self._task.done()

    async def start(self) -> int:
        """Make due jobs ready, take one batch, run it, and answer how many jobs when every outcome is written.

        What goes wrong around the handlers is raised, and told as `queue:error`; a handler that fails fails its job.
        Conflict while it is at work already. Cancelling this call gives back what runs.
        """
        if self.is_running:
            raise Conflict("this processor is at work already")
        batch = self._begin(self._batch())
        self._task = batch
        return await batch

    def start_in_background(self) -> None:
        """Go on taking jobs as they come; returns at once. While it is at work already, nothing changes."""
        if not self.is_running:
            self._task = self._begin(self._run())

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

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        return asyncio.get_running_loop().create_task(work)

    async def _batch(self) -> int:
        try:
            await self._stager.tick()
            return await self._make_worker().run_batch(self._batch_size, self._stop, self._hurry)
        except Exception as error:
            self._tell_error(error, "processing")
            raise

    async def _run(self) -> None:
        staging = asyncio.create_task(self._stager.run())
        try:
            await self._keep_working()
        finally:
            staging.cancel()

    async def _keep_working(self) -> None:
        pause = _FIRST_PAUSE
        while not (self._stop.is_set() or self._hurry.is_set()):
            try:
                await self._make_worker().run(self._stop, self._hurry)
            except Exception as error:  # noqa: BLE001 - told to the caller, who is not here to catch it
                self._tell_error(error, "processing")
                await _first_of(self._stop, self._hurry, within=pause)
                pause = min(pause * 2, _LONGEST_PAUSE)


class Told:
    """A processor's observer: what it did becomes events of the queue."""

    def __init__(self, listeners: Listeners, worker_id: str, tell_error: TellError) -> None:
        self._listeners, self._worker_id, self._tell_error = listeners, worker_id, tell_error

    def started(self, held: Held) -> None:
        if self._listeners.hears(JobProcessing.event):
            self._tell(JobProcessing, held, attempt=held.job.attempts, worker_id=self._worker_id)

    def completed(self, held: Held, output: Json | None) -> None:
        if self._listeners.hears(JobCompleted.event):
            self._tell(JobCompleted, held, attempt=held.job.attempts)

    def failed(self, held: Held, failure: Failure) -> None:
        again = will_retry(held.job, failure)
        self._tell(
            JobFailed,
            held,
            attempt=held.job.attempts,
            message=failure.message,
            reason=failure.reason,
            will_retry=again,
            retry_after=failure.retry_after if again else None,
        )

    def suspended(self, held: Held, waits: Sequence[Wait]) -> None:
        if self._listeners.hears(JobWaiting.event):
            token_id = next((wait.token_id for wait in waits if wait.token_id is not None), None)
            self._tell(JobWaiting, held, wait_until=_first_end_of(waits), token_id=token_id)

    def noted(self, held: Held, note: Note) -> None:
        if note.progress is not None:
            self._tell(JobProgress, held, progress=note.progress)

    def cancelled(self, held: Held) -> None:
        self._tell(JobCancelled, held)

    def _not_told(self, held: Held) -> None:
        """What a listener cannot listen for."""

    ended = released = lost = crashed = _not_told

    def troubled(self, error: Exception, *, source: str) -> None:
        self._tell_error(error, source)

    def _tell(self, kind: type[JobEvent], held: Held, **fields: Any) -> None:
        self._listeners.tell(kind(job_id=held.job.id, job_type=held.job.job_type, **fields))


def error_teller(listeners: Listeners, on_error: OnError | None) -> TellError:
    """Tells an error both ways, neither of which depends on the other."""
    if on_error is None:
        return listeners.tell_error
    tell_callback = listeners.aside(on_error, "on_error")

    def tell(error: BaseException, source: str) -> None:
        listeners.tell_error(error, source)
        tell_callback(error)

    return tell


def registry_of(handlers: Handlers, *, local_names: Mapping[str, Any]) -> HandlerRegistry:
    """Handlers by job type, as a worker takes them. Invalid names a handler that cannot be called with a job."""
    if isinstance(handlers, HandlerRegistry):
        return handlers
    registry = HandlerRegistry()
    for job_type, function in handlers.items():
        registry.add(job_type, function, local_names=local_names)
    return registry


def make_processor(
    registry: HandlerRegistry,
    *,
    opened: Opened,
    settings: WorkerSettings,
    listeners: Listeners,
    stager: Stager,
    worker_id: str | None,
    batch_size: int,
    concurrency: int | None,
    poll_interval: float | timedelta | None,
    job_types: Sequence[str] | None,
    on_error: OnError | None,
) -> Processor:
    """See `Queue.create_processor`."""
    if missing := [name for name in job_types or () if name not in registry.job_types]:
        raise Invalid(f"job_types: there is no handler for {', '.join(missing)}", loc=("job_types",))
    if opened.open_another is None:
        raise Invalid(
            "a processor keeps its leases through a storage of its own: say how to open it", loc=("open_another",)
        )
    open_another = opened.open_another
    size = fields.whole(batch_size, ("batch_size",), least=1, most=LARGEST_BATCH)
    slots = size if concurrency is None else fields.whole(concurrency, ("concurrency",), least=1, most=_MOST_SLOTS)
    chosen: dict[str, object] = {"concurrency": slots, "drain_seconds": _NO_HURRY}
    if poll_interval is not None:
        chosen["poll_seconds"] = fields.positive_seconds(poll_interval, ("poll_interval",))
    settings = settings.model_copy(update=chosen)
    name = worker_id or new_worker_id()
    tell_error = error_teller(listeners, on_error)

    def make_worker() -> Worker:
        return Worker(
            settings,
            opened.storage,
            registry,
            worker_id=name,
            open_storage=open_another,
            job_types=job_types,
            expect=stager.expect,
            observer=Told(listeners, name, tell_error),
        )

    return Processor(make_worker=make_worker, stager=stager, batch_size=size, tell_error=tell_error)


def _first_end_of(waits: Sequence[Wait]) -> datetime | None:
    now = datetime.now(UTC)
    ends = [wait.until for wait in waits if wait.until is not None]
    ends += [now + wait.delay for wait in waits if wait.delay is not None]
    return min(ends, default=None)


async def _first_of(*events: asyncio.Event, within: float) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
