"""Moving the jobs of a namespace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Beat, Enqueued, Failure, Job, Json, Lease, NewJob, Note, Reported
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.steps import Wait
from dataqueue.storage.answers import (
    JobPage,
    Swept,
)


class JobStore(Protocol):
    """The jobs of one namespace, moved by the verbs of `domain.lifecycle`."""

    async def enqueue(
        self, units: Sequence[Sequence[NewJob]], *, again: bool = False, waited: bool = False
    ) -> list[list[Enqueued]]:
        """Store units of jobs in one shared write, each unit whole or not at all, answers in order.

        The units of one call are either all keyed (`NewJob.is_keyed`) or all not. `again`: the outcome of an
        earlier call with the same jobs is unknown; what it stored counts as created now. `waited`: an earlier call
        with these and others has waited for somebody's transaction in vain, so this one hardly waits.
        A caller's id is taken once a job of the namespace has it; in PostgreSQL, once a job of any namespace has.
        Raises AlreadyExists (a caller's id is taken) for a call of one unit, with several StorageRefused;
        IdempotencyInProgress. Nothing is then stored.
        """
        ...

    async def enqueue_within(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Store jobs in the transaction that a connection of the caller's is in, answers in order.

        They are there when that transaction commits, with their events and the wake-up, and never were when it rolls
        back. It may stay open for minutes and holds up nobody but who enqueues with the same idempotency key or id.
        A connection of another kind, or in no transaction, is Invalid. Raises besides NotFound (the namespace),
        AlreadyExists, IdempotencyInProgress; the caller's transaction has then failed. What else the driver raises is
        the caller's: it leaves this method as it is.
        A backend whose writes cannot be part of somebody else's transaction raises Unsupported.
        """
        ...

    def enqueue_within_sync(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """As `enqueue_within`, for a synchronous connection, from a thread that may have no event loop."""
        ...

    async def claim(
        self, job_types: Sequence[str], *, limit: int, worker_id: str, lease: timedelta
    ) -> list[ClaimedJob]:
        """Ready to processing, highest priority first, then by run_at and order of enqueue."""
        ...

    async def heartbeat(self, leases: Sequence[Lease], *, lease: timedelta) -> list[Beat]:
        """Extend leases from now; a job whose cancel was requested ends cancelled instead. Waits for nobody.

        Answers in order.
        """
        ...

    async def abandon(self, leases: Sequence[Lease]) -> None:
        """Let held leases expire now: their process is known to be dead. The next reclaim counts the crash."""
        ...

    async def complete(self, leases: Sequence[Lease], *, outputs: Sequence[Json | None]) -> list[Reported]:
        """Processing to completed, each only while its lease is held; also when a cancel was requested."""
        ...

    async def suspend(self, leases: Sequence[Lease], *, waits: Sequence[Sequence[Wait]]) -> list[Reported]:
        """Processing to waiting until the first of a job's waits is over; the attempt is not used up.

        Where one is over already, at once to pending, to be resumed; to cancelled when that was requested. A wait whose
        name is in the step log goes on as it stands there: its end does not move. A token that is unknown, or removed,
        counts as expired. A name with something of another kind is passed over; so a job all of whose waits are is
        pending again at once.
        """
        ...

    async def note(self, leases: Sequence[Lease], *, notes: Sequence[Note]) -> list[Reported]:
        """Processing stays processing: progress and output are kept, and an event tells of each thing noted."""
        ...

    async def fail(self, leases: Sequence[Lease], *, failures: Sequence[Failure]) -> list[Reported]:
        """Processing to pending for another attempt, or to failed (with its dead letter), or to cancelled."""
        ...

    async def release(self, leases: Sequence[Lease]) -> list[Reported]:
        """Processing to pending with the attempt given back, or to cancelled when that was requested."""
        ...

    async def recall(self, worker_id: str, *, known: Sequence[Lease]) -> int:
        """Release what a worker holds besides `known`: the reply to its claim was lost. Says how many."""
        ...

    async def cancel(self, job_ids: Sequence[UUID]) -> None:
        """Pending or waiting to cancelled; a processing job is marked, and its worker told at the next heartbeat.

        One job: raises NotFound, IllegalTransition. Several: those that cannot be cancelled are passed over.
        """
        ...

    async def retry(self, job_ids: Sequence[UUID]) -> None:
        """Failed or cancelled to pending now, one attempt granted if none is left. Raises as `cancel`."""
        ...

    async def get(self, job_id: UUID) -> Job:
        """The job as read; NotFound."""
        ...

    async def ended(self, job_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids whose job is terminal, or gone."""
        ...

    async def edit(self, job_ids: Sequence[UUID], edit: JobEdit) -> None:
        """Pending to pending with new values; nothing at all when `edit` gives none. Raises as `cancel`."""
        ...

    async def delete(self, job_ids: Sequence[UUID]) -> None:
        """Completed, failed or cancelled to gone, with its result and its idempotency key. Raises as `cancel`."""
        ...

    async def page(self, matching: JobFilter, *, before: Position | None, limit: int) -> JobPage:
        """Jobs newest first (by created_at, then order of enqueue), from after a position."""
        ...

    async def sweep(
        self,
        verb: Verb,
        matching: JobFilter,
        *,
        before: Position | None,
        limit: int,
        edit: JobEdit | None = None,
        dry_run: bool = False,
    ) -> Swept:
        """Cancel, retry, edit or delete what matches: one batch of at most `limit` jobs, newest first, as one act.

        Whether a job matches is decided when its row is locked. Repeat with `next` until it is None.
        """
        ...
