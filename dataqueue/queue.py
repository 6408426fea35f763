"""The queue inside a Python program: beside the same storage as the service, without a hop over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, Self, Unpack
from uuid import UUID

from pydantic import SecretStr

from dataqueue.announcing import Announcer
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import Event
from dataqueue.domain.filters import JobFilter, Position, TagMode
from dataqueue.domain.job import Enqueued, Job, JobStatus, NewJob
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.retention import Retention
from dataqueue.enqueuing import Enqueuer
from dataqueue.errors import Invalid
from dataqueue.job_options import JobChanges, JobOptions
from dataqueue.job_spec import JobSpec, edit_of
from dataqueue.listeners import Listener, Listeners
from dataqueue.maintenance import LOOK_FOR_DUE
from dataqueue.processing.worker import Worker
from dataqueue.processors import Handlers, OnError, Processor, Told, registry_of
from dataqueue.queue_events import JobAdded, JobCancelled, JobEdited, JobRetried
from dataqueue.settings import WorkerSettings
from dataqueue.staging import Stager
from dataqueue.storage.opening import open_storage, storage_url
from dataqueue.storage.port import Hint, JobPage, Storage
from dataqueue.supervising import QueueSupervisor
from dataqueue.sweeping import LARGEST_BATCH, BulkChange, Sweeper

_EVERYTHING: Final = JobFilter()
_NO_HURRY: Final = 1e9
_POOL: Final = 6


class Queue:
    """The jobs of one namespace. Use it on one event loop; `async with` closes it at the end.

    Errors are those of `dataqueue.errors`: Invalid names the field, NotFound, IllegalTransition, AlreadyExists,
    StorageUnavailable.
    """

    def __init__(
        self, storage: Storage, *, open_another: Callable[[], Storage], namespace: str, settings: WorkerSettings
    ) -> None:
        """See `open`. `open_another` opens the same storage anew, for the thread that keeps a processor's leases."""
        self.namespace: Final = namespace
        self._storage, self._open_another, self._settings = storage, open_another, settings
        self._closing = ExitStack()
        self._jobs = storage.jobs(namespace)
        self._listeners = Listeners()
        self._announce: dict[str, Announcer] = {
            kind: Announcer(storage.notifier, kind=kind, namespace=namespace) for kind in ("ready", "cancel", "ended")
        }
        self._enqueuer = Enqueuer(self._jobs, announce=self._announce["ready"])
        self._sweeper = Sweeper(self._jobs, announce=lambda kind, types: self._announce[kind](types))

    @classmethod
    def open(
        cls, url: str | None = None, *, namespace: str | None = None, settings: WorkerSettings | None = None
    ) -> Self:
        """A queue on the storage at `url`, else at `DATAQUEUE_URL`, else on the embedded server, which is then started.

        Connects when it is first used. The tables must be there: `dataqueue migrate` makes them.
        """
        settings = settings or WorkerSettings()
        if url is not None:
            settings = settings.model_copy(update={"url": SecretStr(url)})
        with ExitStack() as stack:
            address = stack.enter_context(storage_url(settings))
            listen_url = None if settings.listen_url is None else settings.listen_url.get_secret_value()
            open_another = partial(open_storage, address, listen_url=listen_url, pool_size=_POOL)
            queue = cls(
                open_another(),
                open_another=open_another,
                namespace=namespace or settings.namespace,
                settings=settings,
            )
            queue._closing = stack.pop_all()
            return queue

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for what is being written, and disconnect. Processors must have been stopped before."""
        await self._enqueuer.settle()
        for announcer in self._announce.values():
            await announcer.settle()
        self._listeners.remove_all()
        await self._storage.close()
        self._closing.close()

    async def add_job(
        self, job_type: str, payload: Any = None, *, connection: object | None = None, **options: Unpack[JobOptions]
    ) -> Enqueued:
        """Add a job, and answer once it is stored; see `JobSpec` for the options. `payload`: nothing is {}.

        `connection` (PostgreSQL): store it within the transaction of your own AsyncSession, AsyncConnection, asyncpg or
        psycopg connection; it is there when that commits, and never was when it rolls back. Unsupported elsewhere.
        """
        spec = JobSpec(job_type, {} if payload is None else payload, **options)
        [enqueued] = await self._add([spec.to_job(max_payload_bytes=self._settings.max_payload_bytes)], connection)
        return enqueued

    async def add_jobs(self, jobs: Iterable[JobSpec], *, connection: object | None = None) -> list[Enqueued]:
        """Add jobs, up to 1,000 all or none, more in such batches; answers in order. Invalid names the index."""
        new = [
            spec.to_job(max_payload_bytes=self._settings.max_payload_bytes, at=(index,))
            for index, spec in enumerate(jobs)
        ]
        batches = [new[start : start + LARGEST_BATCH] for start in range(0, len(new), LARGEST_BATCH)]
        return [enqueued for batch in batches for enqueued in await self._add(batch, connection)]

    def add_jobs_within(self, jobs: Sequence[JobSpec], connection: object) -> list[Enqueued]:
        """Add jobs within the transaction of a synchronous connection: Session, Connection, or psycopg."""
        limit = self._settings.max_payload_bytes
        new = [spec.to_job(max_payload_bytes=limit, at=(index,)) for index, spec in enumerate(jobs)]
        return self._jobs.enqueue_within_sync(connection, new)

    async def get_job(self, job_id: UUID) -> Job:
        """The job as it is now; NotFound."""
        return await self._jobs.get(job_id)

    async def get_jobs(
        self, matching: JobFilter = _EVERYTHING, *, before: Position | None = None, limit: int = 50
    ) -> JobPage:
        """A page of jobs, newest first; the next begins `before` its `next`, and None there is the end."""
        return await self._jobs.page(matching, before=before, limit=limit)

    async def get_jobs_by_tags(
        self, values: Sequence[str], mode: TagMode | Literal["exact", "all", "any", "none"] = "all", *, limit: int = 50
    ) -> list[Job]:
        """The newest jobs by their tags: all of `values` and perhaps others, any, exactly these, or none of them."""
        return (await self.get_jobs(JobFilter(tags=tuple(values), tag_mode=TagMode(mode)), limit=limit)).jobs

    async def get_job_events(self, job_id: UUID, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """What happened to a job, oldest first, after the event of that id; NotFound."""
        return await self._storage.events(self.namespace).of_job(job_id, after=after, limit=limit)

    async def edit_job(self, job_id: UUID, **changes: Unpack[JobChanges]) -> Job:
        """Change a pending job; None brings a field back to its default. IllegalTransition when it is not pending."""
        edit = edit_of(changes, max_payload_bytes=self._settings.max_payload_bytes)
        await self._jobs.edit([job_id], edit)
        job = await self._jobs.get(job_id)
        self._announce["ready"]({job.job_type})
        if changes:
            self._listeners.tell(JobEdited(job_id=job.id, job_type=job.job_type, changes=dict(changes)))
        return job

    async def edit_all_pending_jobs(
        self, matching: JobFilter = _EVERYTHING, **changes: Unpack[JobChanges]
    ) -> BulkChange:
        """Change every pending job that matches, in bounded batches."""
        return await self._sweeper.run(Verb.EDIT, matching, edit=self._edit_of_some(changes))

    async def cancel_job(self, job_id: UUID) -> Job:
        """Cancel a job, or ask the worker that runs it to stop (`cancel_requested`). IllegalTransition if it ended."""
        await self._jobs.cancel([job_id])
        job = await self._jobs.get(job_id)
        self._announce["ended" if job.status.is_terminal else "cancel"]({job.job_type})
        if job.status is JobStatus.CANCELLED:
            self._listeners.tell(JobCancelled(job_id=job.id, job_type=job.job_type))
        return job

    async def cancel_all_upcoming_jobs(self, matching: JobFilter = _EVERYTHING) -> BulkChange:
        """Cancel every pending job that matches, in bounded batches; running ones go on."""
        statuses = tuple(status for status in matching.statuses or (JobStatus.PENDING,) if status is JobStatus.PENDING)
        if not statuses:
            return BulkChange(0, 0)
        return await self._sweeper.run(Verb.CANCEL, replace(matching, statuses=statuses))

    async def retry_job(self, job_id: UUID) -> Job:
        """Make a failed or cancelled job pending again, with one more attempt if it has none left."""
        await self._jobs.retry([job_id])
        job = await self._jobs.get(job_id)
        self._announce["ready"]({job.job_type})
        self._listeners.tell(JobRetried(job_id=job.id, job_type=job.job_type))
        return job

    async def delete_job(self, job_id: UUID) -> None:
        """Remove a job that has ended, and free its idempotency key."""
        await self._jobs.delete([job_id])

    async def reclaim_stuck_jobs(self) -> int:
        """Take back jobs whose worker fell silent for longer than its lease; says how many. Workers do so unasked."""
        reclaim = partial(
            self._storage.upkeep.reclaim, max_crashes=self._settings.max_crashes, namespace=self.namespace
        )
        count = await _until_done(lambda limit: reclaim(limit=limit))
        if count:
            await self._announce_some_ready()
        return count

    async def cleanup_old_jobs(self, retention: Retention | float | timedelta = 30.0) -> int:
        """Remove jobs that ended longer ago than that (days, or by status); says how many. Their keys go with them."""
        if not isinstance(retention, Retention):
            keep = _days(retention)
            retention = Retention(completed=keep, failed=keep, cancelled=keep)
        prune = partial(self._storage.upkeep.prune, retention, namespace=self.namespace)
        return await _until_done(lambda limit: prune(limit=limit))

    async def cleanup_old_job_events(self, days: float | timedelta = 30.0) -> int:
        """Remove whole days of events older than that, of every namespace; says about how many events."""
        return await self._storage.upkeep.prune_events(keep=_days(days))

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
    ) -> Processor:
        """A worker inside this process. `handlers`: functions by job type, as `@handler` takes them.

        `batch_size`: jobs of one `start()`. `concurrency`: handlers at a time in the background (default: the batch's
        size). `poll_interval`: seconds between looks when nothing wakes it. `job_types`: serve only these.
        """
        registry = registry_of(handlers)
        slots = max(concurrency or batch_size, 1)
        seconds = poll_interval.total_seconds() if isinstance(poll_interval, timedelta) else poll_interval
        settings = self._settings.model_copy(
            update={
                "namespace": self.namespace,
                "concurrency": max(slots, batch_size),
                "poll_seconds": seconds or self._settings.poll_seconds,
                "drain_seconds": _NO_HURRY,
            }
        )
        stager = Stager(self._storage.upkeep, announce=self._announce_some_ready, longest_sleep=LOOK_FOR_DUE)
        chosen = worker_id or f"processor-{secrets.token_hex(6)}"

        def make_worker() -> Worker:
            return Worker(
                settings,
                self._storage,
                registry,
                worker_id=chosen,
                open_storage=self._open_another,
                job_types=job_types,
                expect=stager.expect,
                observer=Told(self._listeners, chosen, on_error),
            )

        return Processor(
            make_worker=make_worker,
            stager=stager,
            batch_size=batch_size,
            on_error=on_error,
            listeners=self._listeners,
        )

    def create_supervisor(
        self,
        *,
        interval: float | timedelta = 60.0,
        reclaim_stuck_jobs: bool = True,
        cleanup_jobs_after: Retention | float | timedelta | None = 30.0,
        cleanup_events_after: float | timedelta | None = 30.0,
        on_error: OnError | None = None,
    ) -> QueueSupervisor:
        """The upkeep that a worker process does by itself, for programs that run none. None leaves a task out.

        `interval`: seconds between rounds. Ages are days.
        """
        upkeep = self._storage.upkeep

        async def stage() -> int:
            staged = await upkeep.stage(limit=LARGEST_BATCH, namespace=self.namespace)
            if staged.count:
                await self._announce_some_ready()
            return staged.count

        tasks: dict[str, Callable[[], Awaitable[int]]] = {"staged_jobs": stage}
        if reclaim_stuck_jobs:
            tasks["reclaimed_jobs"] = self.reclaim_stuck_jobs
        if cleanup_jobs_after is not None:
            tasks["cleaned_up_jobs"] = partial(self.cleanup_old_jobs, cleanup_jobs_after)
        if cleanup_events_after is not None:
            tasks["cleaned_up_events"] = partial(self.cleanup_old_job_events, cleanup_events_after)
        tasks["folded_counts"] = partial(upkeep.fold_counts, limit=10 * LARGEST_BATCH)
        seconds = interval.total_seconds() if isinstance(interval, timedelta) else interval
        return QueueSupervisor(tasks, interval=seconds, on_error=on_error, listeners=self._listeners)

    def on(self, event: str, listener: Listener) -> None:
        """Tell a function, `def` or `async def`, of what this queue and its processors do, as `dataqueue.queue_events`.

        `job:added`, `job:processing`, `job:completed`, `job:failed` (with `will_retry`), `job:cancelled`, `job:retried`
        and `job:edited`, and `queue:error` (or `error`); told once the storage has confirmed it. No listener disturbs
        the queue or another listener.
        """
        self._listeners.add(event, listener)

    def once(self, event: str, listener: Listener) -> None:
        """As `on`, for the next such event alone."""
        self._listeners.add(event, listener, once=True)

    def off(self, event: str, listener: Listener) -> None:
        """Tell that function nothing more."""
        self._listeners.remove(event, listener)

    def remove_all_listeners(self, event: str | None = None) -> None:
        """Tell nobody of this event any more, or of any."""
        self._listeners.remove_all(event)

    async def _announce_some_ready(self) -> None:
        await self._storage.notifier.publish(Hint("ready", self.namespace))

    def _edit_of_some(self, changes: Mapping[str, Any]) -> JobEdit:
        if not changes:
            raise Invalid("say what to change")
        return edit_of(changes, max_payload_bytes=self._settings.max_payload_bytes)

    async def _add(self, jobs: list[NewJob], connection: object | None) -> list[Enqueued]:
        if connection is not None:
            # Not told to listeners: whether it will have happened is the caller's to decide.
            return await self._jobs.enqueue_within(connection, jobs)
        answers = await self._enqueuer.add(jobs)
        for job, enqueued in zip(jobs, answers, strict=True):
            if enqueued.created:
                self._listeners.tell(JobAdded(job_id=enqueued.id, job_type=job.job_type))
        return answers


async def _until_done(batch: Callable[[int], Awaitable[int]]) -> int:
    total = 0
    while True:
        count = await batch(LARGEST_BATCH)
        total += count
        if count < LARGEST_BATCH:
            return total


def _days(value: float | timedelta) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(days=value)
