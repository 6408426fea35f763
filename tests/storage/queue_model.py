"""A queue small enough to be read at once: what both backends must answer, and be found in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dataqueue.domain.events import EventName
from dataqueue.domain.job import Beat, Failure, JobStatus, Lease, NewJob, Reported
from dataqueue.domain.lifecycle import Verb, allows

BURIAL: Final = "burial"
PENDING, PROCESSING, WAITING = JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.WAITING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED


@dataclass
class Known:
    """A job as the model has it. `id` None: a dead letter, which each backend names for itself."""

    id: UUID | None
    seq: int
    job_type: str
    priority: int
    tags: tuple[str, ...]
    key: str | None
    run_at: datetime
    max_attempts: int
    buries: bool
    status: JobStatus = PENDING
    wake_at: datetime | None = None
    attempts: int = 0
    crashes: int = 0
    invocation: int = 0
    cancel: bool = False
    worker: str | None = None
    lease_ends: datetime | None = None
    ended_at: datetime | None = None
    ended_by: EventName | None = None
    reason: str | None = None
    resumes: bool = False
    steps: dict[str, Any] = field(default_factory=dict)
    wait_token_id: UUID | None = None
    progress: int | None = None
    output: str | None = None
    events: list[EventName] = field(default_factory=list)
    grave: Known | None = None


class QueueModel:
    """Moves as the contract says; `now` is the storages' clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._seq = 0
        self.jobs: list[Known] = []
        self.paused: set[str] = set()

    def find(self, job_id: UUID) -> Known | None:
        return next((job for job in self.jobs if job.id == job_id), None)

    def enqueue(self, asked: NewJob) -> tuple[UUID, JobStatus, bool]:
        if asked.idempotency_key is not None:
            for job in self.jobs:
                if job.key == asked.idempotency_key:
                    assert job.id is not None
                    return job.id, job.status, False
        self._add(asked.id, asked)
        return asked.id, PENDING, True

    def claim(self, job_types: Iterable[str], *, limit: int, worker: str, lease: timedelta) -> list[Known]:
        open_types = set(job_types) - self.paused
        ready = [one for one in self.jobs if one.status is PENDING and not one.wake_at and one.job_type in open_types]
        taken = sorted(ready, key=lambda job: (-job.priority, job.run_at, job.seq))[:limit]
        for job in taken:
            job.attempts += 0 if job.resumes else 1
            job.invocation += 1
            job.worker, job.lease_ends = worker, self._now() + lease
            self._move(job, PROCESSING, EventName.PROCESSING)
        return taken

    def holds(self, lease: Lease) -> bool:
        return self._held(lease, set())[0] is not None

    def complete(self, lease: Lease, output: str | None) -> Reported:
        job, word = self._held(lease, {EventName.COMPLETED})
        if job is not None:
            job.output = job.output if output is None else output
            self._end(job, COMPLETED, EventName.COMPLETED)
        return word

    def fail(self, lease: Lease, failure: Failure) -> Reported:
        job, word = self._held(lease, {EventName.FAILED, EventName.CANCELLED})
        if job is None:
            return word
        if job.cancel:
            self._end(job, CANCELLED, EventName.CANCELLED)
        elif failure.retry_after is not None and job.attempts < job.max_attempts:
            job.reason, job.resumes = failure.reason, False
            self._let_go(job, EventName.FAILED)
            if failure.retry_after:
                job.wake_at = self._now() + failure.retry_after
        else:
            self._fail_for_good(job, failure.reason)
        return word

    def release(self, lease: Lease) -> Reported:
        job, word = self._held(lease, {EventName.RELEASED, EventName.CANCELLED})
        if job is not None:
            self._give_back(job)
        return word

    def recall(self, worker: str, known: set[Lease]) -> int:
        held = [job for job in self.jobs if job.status is PROCESSING and job.worker == worker]
        unknown = [job for job in held if job.id is None or Lease(job.id, job.invocation) not in known]
        for job in unknown:
            self._give_back(job)
        return len(unknown)

    def heartbeat(self, lease: Lease, *, length: timedelta) -> Beat:
        job, _ = self._held(lease, set())
        if job is None:
            return Beat.LOST
        if job.cancel:
            self._end(job, CANCELLED, EventName.CANCELLED)
            job.invocation += 1
            return Beat.CANCEL
        job.lease_ends = self._now() + length
        return Beat.OK

    def abandon(self, lease: Lease) -> None:
        self.heartbeat(lease, length=timedelta(seconds=-1))

    def change(self, verb: Verb, job: Known, *, priority: int | None = None) -> bool:
        """Cancel, retry, edit (the priority) or delete; False: the lifecycle has no such move."""
        if not allows(verb, job.status):
            return False
        match verb:
            case Verb.CANCEL if job.status is PROCESSING:
                job.cancel = True
            case Verb.CANCEL:
                self._end(job, CANCELLED, EventName.CANCELLED)
            case Verb.RETRY:
                job.crashes, job.ended_at, job.reason, job.wake_at = 0, None, None, None
                job.max_attempts = max(job.max_attempts, job.attempts + 1)
                job.run_at = min(job.run_at, self._now())
                self._move(job, PENDING, EventName.RETRIED)
            case Verb.EDIT:
                assert priority is not None
                job.priority = priority
                job.events.append(EventName.EDITED)
            case Verb.DELETE:
                self._remove(job)
            case _:
                raise AssertionError(verb)
        return True

    def stage(self) -> int:
        due = [job for job in self.jobs if job.status is PENDING and job.wake_at and job.wake_at <= self._now()]
        for job in due:
            job.wake_at = None
        return len(due)

    def reclaim(self, *, max_crashes: int) -> int:
        expired = [
            job for job in self.jobs if job.status is PROCESSING and job.lease_ends and job.lease_ends < self._now()
        ]
        for job in expired:
            job.invocation += 1
            if job.cancel:
                self._end(job, CANCELLED, EventName.CANCELLED)
                continue
            job.attempts -= 0 if job.resumes else 1
            job.crashes += 1
            if job.crashes > max_crashes:
                self._fail_for_good(job, "crashed")
            else:
                self._let_go(job, EventName.RECLAIMED)
        return len(expired)

    def prune(self, *, keep: timedelta) -> int:
        gone = [job for job in self.jobs if job.ended_at and job.ended_at < self._now() - keep]
        for job in gone:
            self._remove(job)
        return len(gone)

    def by_type(self) -> Counter[tuple[str, JobStatus]]:
        return Counter((job.job_type, job.status) for job in self.jobs)

    def by_tag(self) -> Counter[tuple[str, JobStatus]]:
        return Counter((tag, job.status) for job in self.jobs for tag in job.tags)

    def _remove(self, job: Known) -> None:
        self.jobs.remove(job)

    def _add(self, id: UUID | None, asked: NewJob) -> Known:
        self._seq += 1
        run_at = asked.run_at or self._now() + (asked.delay or timedelta())
        job = Known(
            id=id,
            seq=self._seq,
            job_type=asked.job_type,
            priority=asked.priority,
            tags=asked.tags,
            key=asked.idempotency_key,
            run_at=run_at,
            max_attempts=asked.max_attempts or 3,
            buries=asked.dead_letter_job_type is not None,
            wake_at=run_at if run_at > self._now() else None,
        )
        job.events.append(EventName.ADDED)
        self.jobs.append(job)
        return job

    def _held(self, lease: Lease, ended_by: set[EventName]) -> tuple[Known | None, Reported]:
        job = self.find(lease.job_id)
        if job is None or job.invocation != lease.invocation:
            return None, Reported.LOST
        if job.status is PROCESSING:
            return job, Reported.OK
        return None, Reported.DUPLICATE if job.ended_by in ended_by else Reported.LOST

    def _give_back(self, job: Known) -> None:
        if job.cancel:
            self._end(job, CANCELLED, EventName.CANCELLED)
        else:
            job.attempts -= 0 if job.resumes else 1
            self._let_go(job, EventName.RELEASED)

    def _fail_for_good(self, job: Known, reason: str) -> None:
        job.reason = reason
        self._end(job, FAILED, EventName.FAILED)
        if job.buries:
            job.events.append(EventName.DEAD_LETTERED)
            job.grave = self._add(None, NewJob(id=UUID(int=0), job_type=BURIAL, max_attempts=1))

    def _let_go(self, job: Known, event: EventName) -> None:
        job.ended_by = event
        job.worker = job.lease_ends = None
        self._move(job, PENDING, event)

    def _end(self, job: Known, status: JobStatus, event: EventName) -> None:
        job.ended_at, job.ended_by = self._now(), event
        job.worker = job.lease_ends = job.wake_at = job.wait_token_id = None
        job.cancel = job.resumes = False
        self._move(job, status, event)

    @staticmethod
    def _move(job: Known, status: JobStatus, event: EventName) -> None:
        job.status = status
        job.events.append(event)
