"""What `Queue` takes by keyword, typed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from dataqueue.job_fields import Duration


class JobOptions(TypedDict, total=False):
    """What may be said of a job besides its type and payload; see `JobSpec`."""

    priority: int
    run_at: datetime | None
    delay: Duration | None
    max_attempts: int | None
    timeout_ms: int | None
    force_kill_on_timeout: bool | None
    tags: Sequence[str]
    idempotency_key: str | None
    retry_delay: Duration | None
    retry_backoff: bool | None
    retry_delay_max: Duration | None
    dead_letter_job_type: str | None
    id: UUID | str | None


class JobChanges(TypedDict, total=False):
    """What an edit may change. None brings a field back to its default (`run_at`: now; `payload`: the value null)."""

    payload: Any
    priority: int | None
    run_at: datetime | None
    delay: Duration
    max_attempts: int | None
    timeout_ms: int | None
    force_kill_on_timeout: bool | None
    tags: Sequence[str] | None
    retry_delay: Duration | None
    retry_backoff: bool | None
    retry_delay_max: Duration | None
    dead_letter_job_type: str | None
