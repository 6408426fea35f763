"""What a storage does, one Protocol per noun. Every backend passes the same suite.

A store is bound to one namespace and cannot see another. No method takes an instant: the storage's clock
decides. Many is the primitive, one is many of one. Errors are those of `dataqueue.errors`; a broken
connection is `StorageUnavailable` everywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol
from uuid import UUID

from dataqueue.domain.counts import JobType, JobTypeSettings, Stats, TagCounts
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import Event, EventFilter
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import (
    Beat,
    ClaimedJob,
    Enqueued,
    Failure,
    Job,
    Json,
    Lease,
    NewJob,
    Reported,
)
from dataqueue.domain.keys import ApiKey, Caller, Scope
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.retention import Retention
from dataqueue.domain.workers import Orders, WorkerSeen
from dataqueue.storage.answers import EventPage, JobPage, LogBounds, Look, Pool, Pruned, Staged, Swept

LIVE_FOR: Final = timedelta(seconds=60)


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


class EventLog(Protocol):
    """What happened to the jobs of one namespace."""

    async def of_job(self, job_id: UUID, *, after: int, limit: int) -> list[Event]:
        """Events of one job, oldest first, after a position; NotFound when there is no such job."""
        ...

    async def page(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage:
        """What matches after one position and up to another, in order, at most `limit`.

        Looks at a bounded number of events: go on from `position` until that is `until`. Nothing is missed where
        `until` is a frontier (`EventTail`). PositionExpired: events after `after` have been removed.
        """
        ...

    async def bounds(self) -> LogBounds:
        """How far the log reaches."""
        ...


class EventTail(Protocol):
    """Follows the end of the logs for one process. It remembers where it is; one caller at a time."""

    async def look(self, namespaces: Collection[str], *, limit: int) -> Look:
        """Move on as far as nothing can appear behind, at most `limit` events of these namespaces further.

        The first look, and every later one for a namespace that was not asked for before, tells of no events and of
        a frontier at the end of the log. `frontiers` lacks what is not known yet.
        """
        ...


class TicketStore(Protocol):
    """One-time passes to the event stream, for those who cannot send a key."""

    async def issue(self, digest: bytes, *, namespace: str, lifetime: timedelta) -> datetime:
        """Keep a ticket by its digest; says when it expires."""
        ...

    async def redeem(self, digest: bytes) -> str | None:
        """The namespace a ticket admits to, once; None for one that is unknown, used or expired."""
        ...


class JobTypeStore(Protocol):
    """The job types of one namespace that have jobs or settings."""

    async def page(self, *, after: str | None, limit: int) -> list[JobType]:
        """Types by name, those after a name."""
        ...

    async def get(self, job_type: str) -> JobType:
        """One type; NotFound when it has neither jobs nor settings."""
        ...

    async def put(self, job_type: str, settings: JobTypeSettings) -> None:
        """Replace the settings of a type, known or not. They hold for jobs enqueued and claims made from now on."""
        ...

    async def pause(self, job_type: str, *, paused: bool) -> None:
        """Stop, or go on, handing out jobs of a type, known or not; its other settings stay."""
        ...


class Tally(Protocol):
    """What has been counted in one namespace. Exact, and never by counting rows of jobs."""

    async def tags(self, *, prefix: str, after: str | None, limit: int) -> list[TagCounts]:
        """Tags that some job has, by name (code point order), those after a name."""
        ...

    async def tag(self, tag: str) -> TagCounts:
        """One tag; NotFound when no job has it."""
        ...

    async def stats(self) -> Stats:
        """The namespace at a glance."""
        ...


class WorkerRegistry(Protocol):
    """The workers of one namespace. A worker is live for `LIVE_FOR` after its last beat."""

    async def beat(self, worker_id: str, *, kind: str, job_types: Sequence[str]) -> Orders:
        """Say that a worker is there, and hear what it is to do."""
        ...

    async def leave(self, worker_id: str) -> None:
        """Forget a worker that has stopped."""
        ...

    async def live(self) -> list[WorkerSeen]:
        """Live workers, by id."""
        ...

    async def drain(self, worker_id: str) -> WorkerSeen:
        """Have a live worker take no more jobs; NotFound. It hears of it at its next beat."""
        ...


class KeyStore(Protocol):
    """API keys of every namespace."""

    async def create(
        self, *, name: str, namespace: str, scopes: frozenset[Scope], digest: bytes, prefix: str
    ) -> ApiKey:
        """Keep a key by its digest; makes the namespace when there is none of that name."""
        ...

    async def find(self, digest: bytes) -> Caller | None:
        """Whom a key speaks for."""
        ...

    async def any_exist(self) -> bool:
        """Whether any key was made: without one, nobody could call a protected service."""
        ...


class Upkeep(Protocol):
    """The work that any process may do at any time, and any number at once. None: every namespace."""

    async def stage(self, *, limit: int, namespace: str | None = None) -> Staged:
        """Make claimable what has become due: scheduled jobs, retries, ended waits; and admit jobs that came within a
        caller's transaction (`enqueue_within`) with a type that nobody had used before."""
        ...

    async def reclaim(self, *, limit: int, max_crashes: int, namespace: str | None = None) -> int:
        """Take jobs whose lease has expired back to pending; over `max_crashes` to failed `crashed`. Says how many."""
        ...

    async def prepare_event_log(self) -> None:
        """Make room for the events of the coming days."""
        ...

    async def prune(self, retention: Retention, *, limit: int, namespace: str | None = None) -> Pruned:
        """Remove jobs that ended longer ago than they are kept for, at most `limit`. Looks at a bounded number of jobs,
        so there may be more though it removed fewer, even none."""
        ...

    async def prune_events(self, *, keep: timedelta) -> int:
        """Remove whole days of events that are older than `keep`, of every namespace; says about how many events."""
        ...

    async def fold_counts(self, *, limit: int) -> int:
        """Add what has been noted of changes to the counts, at most `limit` notes; says how many."""
        ...

    async def forget_workers(self, *, silent_for: timedelta) -> int:
        """Remove workers that have not been heard of for that long; says how many."""
        ...


@dataclass(frozen=True, slots=True)
class Hint:
    """A wake-up. It may be lost or arrive twice, and says nothing that a poll would not find.

    `ready`: jobs of these types can be claimed (no names: of some types). `cancel`: a processing job is to
    be cancelled. `ended`: jobs have become terminal. `drain`: these workers have new orders. `admit`: staging has jobs
    to admit. `listening`, in no namespace and said by the listener itself: what was said before was not heard.
    """

    kind: Literal["ready", "cancel", "ended", "drain", "admit", "listening"]
    namespace: str
    names: tuple[str, ...] = ()


LISTENING: Final = Hint("listening", "")


class Notifier(Protocol):
    """Hints between processes."""

    async def publish(self, hint: Hint) -> None:
        """Send a hint to whoever listens. Never raises: a lost hint is found by the poll beneath."""
        ...

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Hint]]:
        """The hints from now on, the first of them `listening`, and again after each time it was away."""
        ...


class Storage(Protocol):
    """Everything one backend holds."""

    @property
    def keys(self) -> KeyStore: ...
    @property
    def tickets(self) -> TicketStore: ...
    @property
    def upkeep(self) -> Upkeep: ...
    @property
    def notifier(self) -> Notifier: ...
    @property
    def pool(self) -> Pool:
        """The connections that this storage shares out among its stores, listening ones left out. From any thread."""
        ...

    def jobs(self, namespace: str) -> JobStore:
        """The jobs of a namespace. Unknown names hold nothing, and enqueueing into one is NotFound."""
        ...

    def events(self, namespace: str) -> EventLog: ...

    def tail(self) -> EventTail:
        """One's own, to follow the logs with."""
        ...

    def job_types(self, namespace: str) -> JobTypeStore: ...
    def tally(self, namespace: str) -> Tally: ...
    def workers(self, namespace: str) -> WorkerRegistry: ...

    async def check(self) -> list[str]:
        """Whether this storage can serve: StorageUnavailable, or StorageNotReady saying what to run.

        Answers in sentences what about its configuration may make it lose jobs, and what to do about it.
        """
        ...

    async def close(self) -> None: ...
