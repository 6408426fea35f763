"""Domain values as JSON bytes. Caller's values go out as the text they are kept in, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

import orjson

# `default=str` below: a driver's UUID may be a subclass, which orjson does not take for one.
from dataqueue.domain.counts import Counts, JobType, Stats, TagCounts
from dataqueue.domain.events import Event
from dataqueue.domain.job import Enqueued, Job
from dataqueue.domain.tokens import Token
from dataqueue.domain.workers import WorkerSeen

_JOB_FIELDS: Final = tuple(field.name for field in fields(Job) if field.name != "seq")
_TEXTS: Final = frozenset({"payload", "output", "steps", "error_history"})


def enqueued_json(enqueued: Enqueued) -> bytes:
    """The answer to one enqueue."""
    created = "true" if enqueued.created else "false"
    return f'{{"id":"{enqueued.id}","status":"{enqueued.status}","created":{created}}}'.encode()


def batch_json(answers: Iterable[Enqueued]) -> bytes:
    """The answer to a batch."""
    return b'{"jobs":[' + b",".join(map(enqueued_json, answers)) + b"]}"


def job_json(job: Job) -> bytes:
    """The job as read, fields in the contract's order."""
    return orjson.dumps(_job(job), default=str)


def page_json(items: Sequence[bytes], next_cursor: str | None) -> bytes:
    """A page of things already rendered."""
    return orjson.dumps({"data": [orjson.Fragment(item) for item in items], "next_cursor": next_cursor})


def event_json(event: Event) -> bytes:
    """The event, its own fields beside the common ones."""
    common = orjson.dumps(
        {
            "id": str(event.id),
            "event": event.event,
            "job_id": event.job_id,
            "job_type": event.job_type,
            "tags": event.tags,
            "at": instant(event.at),
        },
        default=str,
    )
    # Spliced as text: parsing would round numbers that the caller gave exactly.
    own = event.data.strip()[1:-1].strip()
    return b"%s,%s}" % (common[:-1], own.encode()) if own else common


def token_json(token: Token, *, callback_url: str | None = None) -> bytes:
    """The token as read, fields in the contract's order; with its `callback_url` where it was just made."""
    read = {
        "id": token.id,
        "status": token.status,
        "tags": token.tags,
        "job_id": token.job_id,
        "name": token.name,
        "output": None if token.output is None else orjson.Fragment(token.output),
        "timeout_at": _instant_or_none(token.timeout_at),
        "created_at": instant(token.created_at),
        "completed_at": _instant_or_none(token.completed_at),
        "expired_at": _instant_or_none(token.expired_at),
    }
    return orjson.dumps(read if callback_url is None else {**read, "callback_url": callback_url}, default=str)


def tag_json(tag: TagCounts) -> bytes:
    """The tag with its counts."""
    return orjson.dumps({"tag": tag.tag, "counts": _counts(tag.counts), "total": sum(tag.counts.values())})


def job_type_json(job_type: JobType) -> bytes:
    """The type, its settings beside its name; null for those of features that are not built."""
    settings = job_type.settings
    return orjson.dumps(
        {
            "job_type": job_type.job_type,
            "paused": settings.paused,
            "concurrency": None,
            "group_concurrency": None,
            "rate_limit": None,
            "max_attempts": settings.max_attempts,
            "timeout_ms": settings.timeout_ms,
            "retry_delay": settings.retry_delay,
            "retry_backoff": settings.retry_backoff,
            "retry_delay_max": settings.retry_delay_max,
            "counts": _counts(job_type.counts),
        }
    )


def stats_json(stats: Stats) -> bytes:
    """The namespace at a glance."""
    latency = {"p50": stats.latency.p50, "p95": stats.latency.p95, "p99": stats.latency.p99}
    return orjson.dumps(
        {
            "by_status": _counts(stats.by_status),
            "by_type": {name: _counts(counts) for name, counts in stats.by_type.items()},
            "oldest_ready_age": stats.oldest_ready_age,
            "last_hour": {
                "added": stats.added, "completed": stats.completed, "failed": stats.failed, "latency_ms": latency
            },
        }
    )  # fmt: skip


def worker_json(worker: WorkerSeen) -> bytes:
    """The worker as read."""
    return orjson.dumps(
        {
            "id": worker.id,
            "kind": worker.kind,
            "job_types": worker.job_types,
            "jobs_held": worker.jobs_held,
            "last_beat_at": instant(worker.last_beat_at),
            "state": worker.state,
        }
    )


def ticket_json(ticket: str, expires_at: datetime) -> bytes:
    """A pass to the event stream."""
    return orjson.dumps({"ticket": ticket, "expires_at": instant(expires_at)})


def workers_json(workers: Iterable[WorkerSeen]) -> bytes:
    """All of them."""
    return orjson.dumps({"data": [orjson.Fragment(worker_json(worker)) for worker in workers]})


def maintenance_json(
    *, reclaimed_jobs: int, expired_tokens: int, cleaned_up_jobs: int, cleaned_up_events: int
) -> bytes:
    """What was done."""
    return orjson.dumps(
        {
            "reclaimed_jobs": reclaimed_jobs,
            "expired_tokens": expired_tokens,
            "cleaned_up_jobs": cleaned_up_jobs,
            "cleaned_up_events": cleaned_up_events,
        }
    )


def instant(moment: datetime) -> str:
    """An instant in UTC with all six digits, whatever they are."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _instant_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def _counts(counts: Counts) -> dict[str, int]:
    return {status.value: count for status, count in counts.items()}


def _job(job: Job) -> dict[str, Any]:
    return {name: _value(name, getattr(job, name)) for name in _JOB_FIELDS}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    if name in _TEXTS and value is not None:
        return orjson.Fragment(value)
    return value
