"""Looking at a namespace and steering it: types, counts, workers, keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

from dataqueue.domain.counts import JobType, JobTypeSettings, Stats, TagCounts
from dataqueue.domain.keys import ApiKey, Caller, Scope
from dataqueue.domain.workers import Orders, WorkerSeen

LIVE_FOR: Final = timedelta(seconds=60)


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

    async def signing_secret(self) -> bytes:
        """The 32 bytes that capability URLs are signed with. Made when first asked for, and never again."""
        ...
