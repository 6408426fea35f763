"""What a storage does, one Protocol per noun. Every backend passes the same suite.

A store is bound to one namespace and cannot see another. No method takes an instant: the storage's clock
decides. Many is the primitive, one is many of one. Errors are those of `dataqueue.errors`; a broken
connection is `StorageUnavailable` everywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol
from uuid import UUID

from dataqueue.domain.events import Event
from dataqueue.domain.filters import JobFilter
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


class JobStore(Protocol):
    """The jobs of one namespace, moved by the verbs of `domain.lifecycle`."""

    async def enqueue(self, units: Sequence[Sequence[NewJob]], *, again: bool = False) -> list[list[Enqueued]]:
        """Store units of jobs in one shared write, each unit whole or not at all, answers in order.

        The units of one call are either all keyed (`NewJob.is_keyed`) or all not. `again`: the outcome of an
        earlier call with the same jobs is unknown; what it stored counts as created now.
        Raises AlreadyExists (a caller's id is taken) and IdempotencyInProgress for a call of one unit; with
        several units StorageRefused, and nothing is stored.
        """
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

    async def page(self, matching: JobFilter, *, before: int | None, limit: int) -> list[Job]:
        """Jobs newest first, enqueued before the job of `seq` = `before`."""
        ...


class EventLog(Protocol):
    """What happened to the jobs of one namespace."""

    async def of_job(self, job_id: UUID, *, after: int, limit: int) -> list[Event]:
        """Events of one job, oldest first, after a position; NotFound when there is no such job."""
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


@dataclass(frozen=True, slots=True)
class Staged:
    """What a round of staging did, and when the next job is due (seconds from now; None: nothing is known)."""

    count: int
    next_due_in: float | None


class Upkeep(Protocol):
    """The work that any process may do at any time, and any number at once. None: every namespace."""

    async def stage(self, *, limit: int, namespace: str | None = None) -> Staged:
        """Make claimable what has become due: scheduled jobs, retries, ended waits."""
        ...

    async def reclaim(self, *, limit: int, max_crashes: int, namespace: str | None = None) -> int:
        """Take jobs whose lease has expired back to pending; over `max_crashes` to failed `crashed`. Says how many."""
        ...

    async def prepare_event_log(self) -> None:
        """Make room for the events of the coming days."""
        ...


@dataclass(frozen=True, slots=True)
class Hint:
    """A wake-up. It may be lost or arrive twice, and says nothing that a poll would not find.

    `ready`: jobs of these types can be claimed (no names: of some types). `cancel`: a processing job is to
    be cancelled. `ended`: jobs have become terminal.
    """

    kind: Literal["ready", "cancel", "ended"]
    namespace: str
    names: tuple[str, ...] = ()


class Notifier(Protocol):
    """Hints between processes."""

    async def publish(self, hint: Hint) -> None:
        """Send a hint to whoever listens. Never raises: a lost hint is found by the poll beneath."""
        ...

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Hint]]:
        """The hints from now on. Reconnects by itself; while it is away, hints are lost."""
        ...


class Storage(Protocol):
    """Everything one backend holds."""

    @property
    def keys(self) -> KeyStore: ...
    @property
    def upkeep(self) -> Upkeep: ...
    @property
    def notifier(self) -> Notifier: ...

    def jobs(self, namespace: str) -> JobStore:
        """The jobs of a namespace. Unknown names hold nothing, and enqueueing into one is NotFound."""
        ...

    def events(self, namespace: str) -> EventLog: ...

    async def check(self) -> None:
        """Whether this storage can serve: StorageUnavailable, or StorageNotReady saying what to run."""
        ...

    async def close(self) -> None: ...
