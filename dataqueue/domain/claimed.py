"""A job in a worker's hands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dataqueue.domain.job import Json, Lease
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob:
    """A job in a worker's hands: what a handler needs, never outputs or history."""

    id: UUID
    namespace: str
    job_type: str
    payload: Json
    tags: tuple[str, ...]
    priority: int
    attempts: int
    max_attempts: int
    crashes: int
    invocation: int
    timeout_ms: int | None
    retry: RetryPolicy
    run_at: datetime
    created_at: datetime
    locked_at: datetime
    """When it was claimed, by the storage's clock, as the two before."""
    force_kill_on_timeout: bool = False
    has_steps: bool = False
    """Whether there is anything in its step log."""
    steps: tuple[Step, ...] | None = None
    """That log as it was when the job was claimed; None where it was too large to come along."""

    @property
    def lease(self) -> Lease:
        return Lease(self.id, self.invocation)
