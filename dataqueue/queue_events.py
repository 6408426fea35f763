"""What a `Queue` tells its listeners: values named as the events of the log are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, TypeAlias
from uuid import UUID

from dataqueue.domain.events import EventName
from dataqueue.domain.job import FailureReason

EventKind: TypeAlias = Literal[
    "job:added",
    "job:processing",
    "job:completed",
    "job:failed",
    "job:cancelled",
    "job:retried",
    "job:waiting",
    "job:edited",
    "job:progress",
    "queue:error",
    "error",
]
"""What one may listen for. "error" is another name of "queue:error"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something happened to a job."""

    event: ClassVar[str]
    job_id: UUID
    job_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAdded(JobEvent):
    event = EventName.ADDED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProcessing(JobEvent):
    event = EventName.PROCESSING.value
    attempt: int
    worker_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(JobEvent):
    event = EventName.COMPLETED.value
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(JobEvent):
    """An attempt failed. `will_retry`: there will be another, `retry_after` this one; else the job has failed."""

    event = EventName.FAILED.value
    attempt: int
    message: str
    reason: FailureReason
    will_retry: bool
    retry_after: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWaiting(JobEvent):
    """Its handler waits: until `wait_until` (where a while was asked for, about then), or for a token, or for whatever
    comes first of several."""

    event = EventName.WAITING.value
    wait_until: datetime | None
    token_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress(JobEvent):
    event = EventName.PROGRESS.value
    progress: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled(JobEvent):
    event = EventName.CANCELLED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRetried(JobEvent):
    event = EventName.RETRIED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEdited(JobEvent):
    """`changes`: the new values, by field."""

    event = EventName.EDITED.value
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent:
    """Something went wrong that no caller hears of. `source`: what was being done, in a word or two."""

    event: ClassVar[str] = "queue:error"
    error: BaseException
    source: str
