"""What scripts return, to domain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import Event, EventName
from dataqueue.domain.job import EMPTY_OBJECT, FailureReason, Job, JobStatus, Json
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.steps import Step, StepKind, StepOutcome
from dataqueue.domain.tokens import Token, TokenStatus
from dataqueue.storage.redis.instants import instant_of

_NO_RETRY_FIELDS: Final = RetryPolicy()
_NONE: Final = "-"
"""What a step has none of."""


def job_of(found: Sequence[Any], namespace: str) -> Job:
    """What `lua/lib/read.lua` returns of a job."""
    id, pairs, payload, output, errors, is_paused, log, now = found
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
        force_kill_on_timeout="force_kill" in fields,
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
        steps=EMPTY_OBJECT if log is None else steps_as_read(steps_of(log, int(now))),
        error_history=Json(f"[{','.join(errors)}]"),
        failure_reason=None if reason is None or status is JobStatus.COMPLETED else FailureReason(reason),
        pending_reason="paused" if is_pending and is_paused else get("reason"),
        wait_until=wake_at if status is JobStatus.WAITING else None,
        wait_token_id=UUID(fields["wait_token"]) if "wait_token" in fields else None,
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
    id, values, payload, locked_at, log = found
    (job_type, tags, rank, attempts, max_attempts, crashes, invocation, timeout_ms, delay, backoff, delay_max) = values[
        :11
    ]
    run_at, created_at = values[11:13]
    stepped, force_kill = values[17:19]
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
        has_steps=stepped is not None,
        force_kill_on_timeout=force_kill is not None,
        steps=None if log is None else tuple(steps_of(log, int(locked_at))),
    )


def event_of(found: Sequence[Any], namespace: str) -> Event:
    """What `lua/lib/events.lua` returns of an event."""
    position, (_, name, _, job_id, _, job_type, _, at, _, tags, _, _, _, data) = found
    return Event(
        id=int(position.partition("-")[0]),
        namespace=namespace,
        event=EventName(name),
        job_id=UUID(job_id) if job_id else None,
        job_type=job_type or None,
        tags=tags_of(tags),
        at=instant_of(at),
        data=Json(data) if data else EMPTY_OBJECT,
    )


def steps_of(log: Sequence[str], now: int) -> list[Step]:
    """A step log as `lua/lib/steps.lua` keeps it, names and steps by turns, at an instant; the first stored first."""
    kept = sorted(zip(log[::2], log[1::2], strict=True), key=lambda one: int(one[1].partition(" ")[0]))
    return [step_of(name, text, now) for name, text in kept]


def step_of(name: str, text: str, now: int) -> Step:
    """One step as it is kept, at an instant: a sleep is over by then or not."""
    _, kind, outcome, of, _, value = text.split(" ", 5)
    if kind == StepKind.SLEEP:
        ended = StepOutcome.OK if int(of) <= now else None
        return Step(name=name, kind=StepKind.SLEEP, outcome=ended, until=instant_of(of))
    return Step(
        name=name,
        kind=StepKind(kind),
        outcome=None if outcome == _NONE else StepOutcome(outcome),
        value=Json(value) if value else None,
        token_id=None if of == _NONE else UUID(of),
    )


def steps_as_read(steps: Sequence[Step]) -> Json:
    """As a job shows them: what is over. Put together as text, so that values come back as they came."""
    members = [f"{orjson.dumps(one.name).decode()}:{_result_of(one)}" for one in steps if one.outcome]
    return Json(f"{{{','.join(members)}}}")


def _result_of(step: Step) -> str:
    return '{"timeout":true}' if step.outcome is StepOutcome.TIMEOUT else f'{{"ok":{step.value or "null"}}}'


def token_of(found: Sequence[Any], namespace: str) -> Token:
    """What `lua/lib/tokens.lua` returns of a token."""
    id, pairs, output = found
    fields: dict[str, str] = dict(zip(pairs[::2], pairs[1::2], strict=True))
    get = fields.get
    status = TokenStatus(fields["status"])
    ended_at = instant_of(get("ended_at"))
    return Token(
        id=UUID(id),
        namespace=namespace,
        status=status,
        tags=tags_of(get("tags")),
        job_id=UUID(fields["job"]) if "job" in fields else None,
        name=get("name"),
        output=None if output is None else Json(output),
        timeout_at=instant_of(get("timeout_at")),
        created_at=instant_of(fields["created_at"]),
        completed_at=ended_at if status is TokenStatus.COMPLETED else None,
        expired_at=ended_at if status is TokenStatus.TIMED_OUT else None,
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
