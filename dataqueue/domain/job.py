"""A job and the values around it. Fields are named as the columns, so a row needs no mapper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NewType
from uuid import UUID

from dataqueue.domain.retry import RetryPolicy

Json = NewType("Json", str)
"""A value as JSON text. It travels as text from end to end, so that what a caller sent comes back equal."""

EMPTY_OBJECT: Final = Json("{}")
NULL: Final = Json("null")
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2201, 1, 1, tzinfo=UTC)
"""Instants a job may be asked to run at: what every backend and client keeps as an instant."""


class JobStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL: Final = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class PendingReason(StrEnum):
    """Why a pending job cannot be claimed yet."""

    SCHEDULED = "scheduled"
    RETRY = "retry"


class FailureReason(StrEnum):
    TIMEOUT = "timeout"
    HANDLER_ERROR = "handler_error"
    INVALID_PAYLOAD = "invalid_payload"
    CRASHED = "crashed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job as asked for. `run_at` and `delay` are alternatives; neither means now. None elsewhere: what its type says,
    else the default."""

    id: UUID
    job_type: str
    payload: Json = EMPTY_OBJECT
    priority: int = 0
    run_at: datetime | None = None
    delay: timedelta | None = None
    max_attempts: int | None = None
    timeout_ms: int | None = None
    tags: tuple[str, ...] = ()
    idempotency_key: str | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letter_job_type: str | None = None
    force_kill_on_timeout: bool = False
    id_is_callers: bool = False

    def __post_init__(self) -> None:
        if self.run_at is not None and not EARLIEST <= self.run_at < LATEST:
            raise ValueError(f"run_at must lie between the years {EARLIEST.year} and {LATEST.year - 1}")

    @property
    def is_keyed(self) -> bool:
        """Whether storing it can meet a job that is already there."""
        return self.idempotency_key is not None or self.id_is_callers


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The answer to an enqueue: `created` is False when an idempotency key found an earlier job."""

    id: UUID
    status: JobStatus
    created: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a job: void as soon as the job's invocation has moved on."""

    job_id: UUID
    invocation: int


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed. `retry_after` None means that it is not worth another attempt."""

    message: str
    type: str = "Error"
    reason: FailureReason = FailureReason.HANDLER_ERROR
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What a handler says while it works; None: nothing of that. `prolonged_ms`: its deadline now lies so many
    milliseconds ahead."""

    progress: int | None = None
    output: Json | None = None
    prolonged_ms: int | None = None

    def followed_by(self, later: Note) -> Note:
        """Both in one; where both say something the later one counts."""
        return Note(
            progress=self.progress if later.progress is None else later.progress,
            output=self.output if later.output is None else later.output,
            prolonged_ms=self.prolonged_ms if later.prolonged_ms is None else later.prolonged_ms,
        )


class Reported(StrEnum):
    """What became of a write on behalf of a handler."""

    OK = "ok"
    DUPLICATE = "duplicate"
    LOST = "lost"


class Beat(StrEnum):
    """What a heartbeat learns of one lease. CANCEL: the job is cancelled now, in the same act. BUSY: somebody's
    transaction holds the job; the lease is neither lost nor renewed."""

    OK = "ok"
    LOST = "lost"
    CANCEL = "cancel"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as read."""

    id: UUID
    namespace: str
    job_type: str
    payload: Json
    status: JobStatus
    priority: int
    run_at: datetime
    tags: tuple[str, ...]
    idempotency_key: str | None
    attempts: int
    max_attempts: int
    crashes: int
    timeout_ms: int | None
    force_kill_on_timeout: bool
    retry_delay: float | None
    retry_backoff: bool | None
    retry_delay_max: float | None
    dead_letter_job_type: str | None
    dead_letter_job_id: UUID | None
    dead_lettered_at: datetime | None
    group: Mapping[str, str | None] | None
    depends_on: Mapping[str, Any] | None
    cron_id: UUID | None
    progress: int | None
    output: Json | None
    steps: Json
    error_history: Json
    failure_reason: FailureReason | None
    pending_reason: str | None
    wait_until: datetime | None
    wait_token_id: UUID | None
    next_attempt_at: datetime | None
    locked_by: str | None
    locked_at: datetime | None
    lease_expires_at: datetime | None
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    last_retried_at: datetime | None
    last_failed_at: datetime | None
    last_cancelled_at: datetime | None
    seq: int
