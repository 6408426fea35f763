"""What scripts return, to domain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from dataqueue.domain.events import Event, EventName
from dataqueue.domain.job import EMPTY_OBJECT, ClaimedJob, FailureReason, Job, JobStatus, Json
from dataqueue.domain.retry import RetryPolicy
from dataqueue.storage.redis.instants import instant_of

_NO_RETRY_FIELDS: Final = RetryPolicy()


def job_of(found: Sequence[Any], namespace: str) -> Job:
    """What `lua/lib/read.lua` returns of a job."""
    id, pairs, payload, output, errors, is_paused = found
    fields: dict[str, str] = dict(zip(pairs[::2], pairs[1::2], strict=True))
    get = fields.get
    status = JobStatus(fields["status"])
    is_pending = status is JobStatus.PENDING
    wake_at = instant_of(get("wake_at"))
    reason = get("failure_reason")
    retry = retry_of(get("retry_delay"), get("retry_backoff"), get("retry_delay_max"))
    created_at = fields["created_at"]
    return Job(
        id=UUID(id),
        namespace=namespace,
        job_type=fields["type"],
        payload=EMPTY_OBJECT if payload is None else Json(payload),
        status=status,
        priority=-int(get("rank", 0)),
        run_at=instant_of(get("run_at", created_at)),
        tags=tags_of(get("tags")),
        idempotency_key=get("key"),
        attempts=int(get("attempts", 0)),
        max_attempts=int(fields["max_attempts"]),
        crashes=int(get("crashes", 0)),
        timeout_ms=number_of(get("timeout_ms")),
        force_kill_on_timeout=False,
        retry_delay=retry.delay,
        retry_backoff=retry.backoff,
        retry_delay_max=retry.delay_max,
        dead_letter_job_type=get("dead_type"),
        dead_letter_job_id=UUID(fields["dead_id"]) if "dead_id" in fields else None,
        dead_lettered_at=instant_of(get("dead_at")),
        group=None,
        depends_on=None,
        cron_id=None,
        progress=number_of(get("progress")),
        output=None if output is None else Json(output),
        steps=EMPTY_OBJECT,
        error_history=Json(f"[{','.join(errors)}]"),
        failure_reason=None if reason is None or status is JobStatus.COMPLETED else FailureReason(reason),
        pending_reason="paused" if is_pending and is_paused else get("reason"),
        wait_until=wake_at if status is JobStatus.WAITING else None,
        wait_token_id=None,
        next_attempt_at=wake_at if is_pending and get("reason") == "retry" else None,
        locked_by=get("worker"),
        locked_at=instant_of(get("locked_at")),
        lease_expires_at=instant_of(get("lease")),
        cancel_requested="cancel" in fields,
        created_at=instant_of(created_at),
        updated_at=instant_of(get("updated_at", created_at)),
        started_at=instant_of(get("started_at")),
        completed_at=instant_of(get("ended_at")),
        last_retried_at=instant_of(get("retried_at")),
        last_failed_at=instant_of(get("failed_at")),
        last_cancelled_at=instant_of(get("cancelled_at")),
        seq=int(fields["seq"]),
    )


def claimed_of(found: Sequence[Any], namespace: str) -> ClaimedJob:
    """What `lua/jobs/claim.lua` returns of a job."""
    id, values, payload, locked_at = found
    (job_type, tags, rank, attempts, max_attempts, crashes, invocation, timeout_ms, delay, backoff, delay_max) = values[
        :11
    ]
    run_at, created_at = values[11:13]
    return ClaimedJob(
        id=UUID(id),
        namespace=namespace,
        job_type=job_type,
        payload=EMPTY_OBJECT if payload is None else Json(payload),
        tags=tags_of(tags),
        priority=-int(rank or 0),
        attempts=int(attempts),
        max_attempts=int(max_attempts),
        crashes=int(crashes or 0),
        invocation=int(invocation),
        timeout_ms=number_of(timeout_ms),
        retry=retry_of(delay, backoff, delay_max),
        run_at=instant_of(run_at or created_at),
        created_at=instant_of(created_at),
        locked_at=instant_of(locked_at),
    )


def event_of(found: Sequence[Any], namespace: str) -> Event:
    """What `lua/lib/events.lua` returns of an event."""
    position, (_, name, _, job_id, _, job_type, _, at, _, tags, _, _, _, data) = found
    return Event(
        id=int(position.partition("-")[0]),
        namespace=namespace,
        event=EventName(name),
        job_id=UUID(job_id),
        job_type=job_type,
        tags=tags_of(tags),
        at=instant_of(at),
        data=Json(data) if data else EMPTY_OBJECT,
    )


def tags_of(text: str | None) -> tuple[str, ...]:
    """Tags as they are kept, a JSON array."""
    return tuple(orjson.loads(text)) if text else ()


def number_of(text: str | None) -> int | None:
    return None if text is None else int(text)


def retry_of(delay: str | None, backoff: str | None, delay_max: str | None) -> RetryPolicy:
    """The three fields of a retry; `backoff` is kept as 0 or 1."""
    if delay is backoff is delay_max is None:
        return _NO_RETRY_FIELDS
    return RetryPolicy(
        delay=None if delay is None else float(delay),
        backoff=None if backoff is None else backoff == "1",
        delay_max=None if delay_max is None else float(delay_max),
    )
