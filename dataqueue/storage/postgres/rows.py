"""Rows to domain values. Columns are named as fields, so there is little to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import Event, EventName
from dataqueue.domain.job import EMPTY_OBJECT, FailureReason, Job, JobStatus, Json, NewJob
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.steps import Step, StepKind, StepOutcome
from dataqueue.domain.tokens import Token, TokenStatus
from dataqueue.storage.postgres.connecting import Row

_NO_RETRY_FIELDS: Final = RetryPolicy()
_DERIVED: Final = frozenset(
    {
        "namespace",
        "status",
        "tags",
        "failure_reason",
        "group",
        "depends_on",
        "steps",
        "payload",
        "error_history",
    }
)
_PLAIN: Final = tuple(field.name for field in fields(Job) if field.name not in _DERIVED)


def job_of(row: Row, namespace: str) -> Job:
    """A row of `lib/job_as_read`."""
    reason = row["failure_reason"]
    return Job(
        **{name: row[name] for name in _PLAIN},
        namespace=namespace,
        payload=Json(row["payload"]),
        status=JobStatus(row["status"]),
        tags=tuple(row["tags"]),
        failure_reason=None if reason is None else FailureReason(reason),
        error_history=Json(row["error_history"]),
        group=None if row["group_id"] is None else {"id": row["group_id"], "tier": row["group_tier"]},
        depends_on=None,
        steps=Json(row["steps"]),
    )


def claimed_of(row: Row, namespace: str) -> ClaimedJob:
    """A row of `jobs/claim`."""
    raw = row["options"]
    options: Mapping[str, Any] | None = None if raw is None else orjson.loads(raw)
    tags = row["tags"]
    return ClaimedJob(
        id=row["id"],
        namespace=namespace,
        job_type=row["job_type"],
        payload=Json(row["payload"]),
        tags=tuple(tags) if tags else (),
        priority=-row["rank"],
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        crashes=row["crashes"],
        invocation=row["invocation"],
        timeout_ms=None if options is None else options.get("timeout_ms"),
        retry=_NO_RETRY_FIELDS if options is None else _retry_of(options),
        run_at=row["run_at"],
        created_at=row["created_at"],
        locked_at=row["locked_at"],
        force_kill_on_timeout=options is not None and options.get("force_kill_on_timeout") is True,
        has_steps=row["has_steps"],
        steps=None if row["steps"] is None else _steps_of(row["steps"], row["locked_at"]),
    )


def _steps_of(text: str, instant: datetime) -> tuple[Step, ...]:
    """What `dataqueue.current_steps` says of a job that was claimed at an instant."""
    return tuple(_step_of(columns, instant) for columns in orjson.loads(text))


def _step_of(columns: Sequence[str | None], instant: datetime) -> Step:
    name, kind, outcome, value, token_id, until = columns
    end = None if until is None else datetime.fromisoformat(until)
    if kind == StepKind.SLEEP and end is not None and end <= instant:
        outcome = StepOutcome.OK
    return Step(
        name=str(name),
        kind=StepKind(str(kind)),
        outcome=None if outcome is None else StepOutcome(outcome),
        value=None if value is None else Json(value),
        token_id=None if token_id is None else UUID(token_id),
        until=end,
    )


def step_of(row: Row) -> Step:
    """A row of `lib/step_as_read`."""
    return Step(
        name=row.name,
        kind=StepKind(row.kind),
        outcome=None if row.outcome is None else StepOutcome(row.outcome),
        value=None if row.value is None else Json(row.value),
        token_id=row.token_id,
        until=row.until,
    )


def token_of(row: Row, namespace: str) -> Token:
    """A row of `lib/token_as_read`."""
    status = TokenStatus(row.status)
    return Token(
        id=row.id,
        namespace=namespace,
        status=status,
        tags=tuple(row.tags),
        job_id=row.job_id,
        name=row.name,
        output=None if row.output is None else Json(row.output),
        timeout_at=row.timeout_at,
        created_at=row.created_at,
        completed_at=row.ended_at if status is TokenStatus.COMPLETED else None,
        expired_at=row.ended_at if status is TokenStatus.TIMED_OUT else None,
    )


def event_of(row: Row, namespace: str) -> Event:
    """A row of `lib/event_as_read`."""
    return Event(
        id=row.id,
        namespace=namespace,
        event=EventName(row.event),
        job_id=row.job_id,
        job_type=row.job_type,
        tags=tuple(row.tags),
        at=row.at,
        data=EMPTY_OBJECT if row.data is None else Json(row.data),
    )


def options_of(job: NewJob) -> str | None:
    """The options a job was given, as `job_spec.options` keeps them; None when it was given none."""
    options = {
        "timeout_ms": job.timeout_ms,
        "retry_delay": job.retry.delay,
        "retry_backoff": job.retry.backoff,
        "retry_delay_max": job.retry.delay_max,
        "dead_letter_job_type": job.dead_letter_job_type,
        "force_kill_on_timeout": job.force_kill_on_timeout or None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return orjson.dumps(given).decode() if given else None


def _retry_of(options: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        delay=options.get("retry_delay"),
        backoff=options.get("retry_backoff"),
        delay_max=options.get("retry_delay_max"),
    )
