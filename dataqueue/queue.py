"""The queue inside a Python program: beside the same storage as the service, without a hop over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Literal, Self, Unpack
from uuid import UUID
from weakref import WeakSet

from dataqueue import job_fields as fields
from dataqueue.announcing import Announcer
from dataqueue.domain.events import Event
from dataqueue.domain.filters import JobFilter, Position, TagMode
from dataqueue.domain.job import Enqueued, Job, JobStatus, NewJob
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.limits import LARGEST_BATCH
from dataqueue.enqueuing import Enqueuer
from dataqueue.errors import AlreadyExists, Invalid
from dataqueue.job_options import JobChanges, JobOptions
from dataqueue.job_spec import JobSpec, edit_of
from dataqueue.listeners import Listeners
from dataqueue.maintenance import LOOK_FOR_DUE
from dataqueue.processors import Handlers, OnError, Processor, make_processor, registry_of
from dataqueue.queue_events import JobAdded, JobCancelled, JobEdited, JobRetried
from dataqueue.queue_following import QueueFollowing
from dataqueue.queue_listening import QueueListening
from dataqueue.queue_opening import Opened, log_as_the_host_does, opened, settings_of
from dataqueue.queue_tokens import QueueTokens
from dataqueue.queue_upkeep import QueueUpkeep
from dataqueue.settings import WorkerSettings
from dataqueue.staging import Stager
from dataqueue.storage.answers import JobPage
from dataqueue.storage.port import Storage
from dataqueue.supervising import QueueSupervisor
from dataqueue.sweeping import BulkChange, Sweeper

_EVERYTHING: Final = JobFilter()
_NOTHING: Final[dict[str, Any]] = {}
_LAST_EVENTS: Final = 2.0

Mode = TagMode | Literal["exact", "all", "any", "none"]


class Queue(QueueListening, QueueFollowing, QueueTokens, QueueUpkeep):
    """The jobs of one namespace. Use it on one event loop; `async with` closes it at the end.

    Errors are those of `dataqueue.errors`: Invalid names the field, NotFound, IllegalTransition, AlreadyExists,
    StorageUnavailable.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        settings: WorkerSettings | None = None,
        storage: Storage | None = None,
        open_another: Callable[[], Storage] | None = None,
    ) -> None:
        """A queue on the storage at `url`, else at `DATAQUEUE_URL`; it connects when it is first used.

        Without either it starts the embedded server and blocks meanwhile; `open` does not. The tables must be there:
        `dataqueue migrate` makes them. A `storage` that is handed in stays open; processors then need `open_another`,
        which opens it once more for the thread that keeps their leases.
        """
        log_as_the_host_does()
        self._settings = settings_of(settings, url=url, namespace=namespace)
        self.namespace = self._settings.namespace
        self._opened = opened(self._settings) if storage is None else Opened(storage, open_another, is_ours=False)
        self._storage = storage = self._opened.storage
        self._jobs = storage.jobs(self.namespace)
        self._listeners = Listeners()
        self._announce: dict[str, Announcer] = {
            kind: Announcer(storage.notifier, kind=kind, namespace=self.namespace)
            for kind in ("ready", "cancel", "ended")
        }
        self._enqueuer = Enqueuer(self._jobs, announce=self._announce["ready"])
        self._sweeper = Sweeper(self._jobs, announce=lambda kind, types: self._announce[kind](types))
        self._at_work: WeakSet[Processor | QueueSupervisor] = WeakSet()
        self._is_closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str | None = None, *, namespace: str | None = None, settings: WorkerSettings | None = None
    ) -> AsyncIterator[Self]:
        """A queue for an `async with` block. Without a URL the embedded server is started, and the loop goes on."""
        queue = await asyncio.to_thread(cls, url, namespace=namespace, settings=settings)
        async with queue:
            yield queue

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop its processors and supervisors, wait for what is being written, and disconnect.

        Listeners have two seconds to hear the last events. Closing twice changes nothing.
        """
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.gather(*(one.stop() for one in self._at_work))
        await self._stop_following()
        await self._enqueuer.settle()
        for announcer in self._announce.values():
            await announcer.settle()
        await self._listeners.settle(within=_LAST_EVENTS)
        self._listeners.close()
        await self._opened.close()

    async def add_job(
        self,
        job_type: str,
        payload: Any = _NOTHING,
        *,
        connection: object | None = None,
        **options: Unpack[JobOptions],
    ) -> Enqueued:
        """Add a job, and answer once it is stored; see `JobSpec` for the options.

        `connection` (PostgreSQL): store it within the transaction of your own AsyncSession, AsyncConnection, asyncpg or
        psycopg connection; it is there when that commits, and never was when it rolls back. Unsupported elsewhere.
        """
        spec = JobSpec(job_type, payload, **options)
        [enqueued] = await self._add([spec.to_job(max_payload_bytes=self._settings.max_payload_bytes)], connection)
        return enqueued

    async def add_jobs(self, jobs: Iterable[JobSpec], *, connection: object | None = None) -> list[Enqueued]:
        """Add jobs, up to 1,000 all or none, more in such batches; answers in order. Invalid and AlreadyExists name the
        index."""
        new = self._new(jobs)
        answers: list[Enqueued] = []
        for start in range(0, len(new), LARGEST_BATCH):
            try:
                answers += await self._add(new[start : start + LARGEST_BATCH], connection)
            except AlreadyExists as error:
                error.index += start
                raise
        return answers

    def add_jobs_within(self, jobs: Iterable[JobSpec], connection: object) -> list[Enqueued]:
        """Add jobs within the transaction of a synchronous connection: Session, Connection, or psycopg."""
        return self._jobs.enqueue_within_sync(connection, self._new(jobs))

    async def get_job(self, job_id: UUID | str) -> Job:
        """The job as it is now; NotFound."""
        return await self._jobs.get(_id(job_id))

    async def get_jobs(
        self, matching: JobFilter = _EVERYTHING, *, before: Position | None = None, limit: int = 50
    ) -> JobPage:
        """A page of jobs, newest first; the next begins `before` its `next`, and None there is the end."""
        return await self._jobs.page(matching, before=before, limit=_limit(limit))

    async def get_jobs_by_tags(self, values: Sequence[str], mode: Mode = "all", *, limit: int = 50) -> list[Job]:
        """The newest jobs by their tags: all of `values` and perhaps others, any, exactly these, or none of them."""
        if mode not in list(TagMode):
            raise Invalid(f"mode must be one of {', '.join(TagMode)}", loc=("mode",))
        matching = JobFilter(tags=fields.tags(values, ("values",)), tag_mode=TagMode(mode))
        page = await self.get_jobs(matching, limit=limit)
        found = page.jobs
        # A page looks at a bounded number of jobs, and may end before it has found enough.
        while page.next is not None and len(found) < limit:
            page = await self.get_jobs(matching, before=page.next, limit=limit - len(found))
            found += page.jobs
        return found

    async def get_job_events(self, job_id: UUID | str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """What happened to a job, oldest first, after the event of that id; NotFound."""
        return await self._storage.events(self.namespace).of_job(_id(job_id), after=after, limit=_limit(limit))

    async def edit_job(self, job_id: UUID | str, **changes: Unpack[JobChanges]) -> Job:
        """Change a pending job; None brings a field back to its default. IllegalTransition when it is not pending."""
        edit = edit_of(changes, max_payload_bytes=self._settings.max_payload_bytes)
        await self._jobs.edit([_id(job_id)], edit)
        job = await self._jobs.get(_id(job_id))
        self._announce["ready"]({job.job_type})
        if changes:
            self._listeners.tell(JobEdited(job_id=job.id, job_type=job.job_type, changes=dict(changes)))
        return job

    async def edit_all_pending_jobs(
        self, matching: JobFilter = _EVERYTHING, **changes: Unpack[JobChanges]
    ) -> BulkChange:
        """Change every pending job that matches, in bounded batches."""
        if not changes:
            raise Invalid("say what to change")
        edit = edit_of(changes, max_payload_bytes=self._settings.max_payload_bytes)
        return await self._sweeper.run(Verb.EDIT, matching, edit=edit)

    async def cancel_job(self, job_id: UUID | str) -> Job:
        """Cancel a job, or ask the worker that runs it to stop (`cancel_requested`). IllegalTransition if it ended."""
        await self._jobs.cancel([_id(job_id)])
        job = await self._jobs.get(_id(job_id))
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

    async def retry_job(self, job_id: UUID | str) -> Job:
        """Make a failed or cancelled job pending again, with one more attempt if it has none left."""
        await self._jobs.retry([_id(job_id)])
        job = await self._jobs.get(_id(job_id))
        self._announce["ready"]({job.job_type})
        self._listeners.tell(JobRetried(job_id=job.id, job_type=job.job_type))
        return job

    async def delete_job(self, job_id: UUID | str) -> None:
        """Remove a job that has ended, and free its idempotency key."""
        await self._jobs.delete([_id(job_id)])

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

        `worker_id` is as a job's `locked_by` shows it, and no other worker's. `batch_size`: jobs of one `start()`.
        `concurrency`: handlers at a time (default: the batch's size). `poll_interval`: seconds between looks when
        nothing wakes it. `job_types`: serve only these. `on_error` is given what goes wrong around the handlers.
        """
        processor = make_processor(
            registry_of(handlers, local_names=sys._getframe(1).f_locals),
            opened=self._opened,
            settings=self._settings,
            listeners=self._listeners,
            stager=Stager(self._storage.upkeep, announce=self._announce_some_ready, longest_sleep=LOOK_FOR_DUE),
            worker_id=worker_id,
            batch_size=batch_size,
            concurrency=concurrency,
            poll_interval=poll_interval,
            job_types=job_types,
            on_error=on_error,
        )
        self._at_work.add(processor)
        return processor

    def _new(self, specs: Iterable[JobSpec]) -> list[NewJob]:
        most = self._settings.max_payload_bytes
        return [spec.to_job(max_payload_bytes=most, at=(index,)) for index, spec in enumerate(specs)]

    async def _add(self, jobs: list[NewJob], connection: object | None) -> list[Enqueued]:
        if connection is not None:
            # Not told to listeners: whether it will have happened is the caller's to decide.
            return await self._jobs.enqueue_within(connection, jobs)
        answers = await self._enqueuer.add(jobs)
        if self._listeners.hears(JobAdded.event):
            for job, enqueued in zip(jobs, answers, strict=True):
                if enqueued.created:
                    self._listeners.tell(JobAdded(job_id=enqueued.id, job_type=job.job_type))
        return answers


def _id(value: UUID | str) -> UUID:
    return fields.uuid(value, ("job_id",))


def _limit(value: int) -> int:
    return fields.whole(value, ("limit",), least=1, most=1000)
