"""Domain values as JSON bytes. Caller's values go out as the text they are kept in, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

import orjson

# `default=str` below: a driver's UUID may be a subclass, which orjson does not take for one.
from dataqueue.domain.events import Event
from dataqueue.domain.job import Enqueued, Job

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


def instant(moment: datetime) -> str:
    """An instant in UTC with all six digits, whatever they are."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _job(job: Job) -> dict[str, Any]:
    return {name: _value(name, getattr(job, name)) for name in _JOB_FIELDS}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    if name in _TEXTS and value is not None:
        return orjson.Fragment(value)
    return value
