"""A job as Python code asks for it, and a change of one (contract 1.1 and 1.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from dataqueue import job_fields as fields
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.job import NewJob
from dataqueue.domain.retry import RetryPolicy
from dataqueue.errors import Invalid
from dataqueue.ids import new_id
from dataqueue.job_fields import At, Duration, optional

_RETRY_UNSET: Final = RetryPolicy()
_RULES: Final[Mapping[str, Callable[[Any, At], object]]] = {
    "priority": fields.priority,
    "run_at": fields.instant,
    "max_attempts": fields.attempts,
    "timeout_ms": fields.milliseconds,
    "force_kill_on_timeout": fields.flag,
    "tags": fields.tags,
    "retry_delay": fields.seconds,
    "retry_backoff": fields.flag,
    "retry_delay_max": fields.seconds,
    "dead_letter_job_type": fields.name,
}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job to add. Only `job_type` is needed; `payload` is anything that can be JSON, models and dataclasses too.

    None: what the job type says, else the default. `force_kill_on_timeout` needs `timeout_ms`.
    """

    job_type: str
    payload: Any = field(default_factory=dict)
    _: KW_ONLY
    priority: int = 0
    run_at: datetime | None = None
    delay: Duration | None = None
    max_attempts: int | None = None
    timeout_ms: int | None = None
    force_kill_on_timeout: bool | None = None
    tags: Sequence[str] = ()
    idempotency_key: str | None = None
    retry_delay: Duration | None = None
    retry_backoff: bool | None = None
    retry_delay_max: Duration | None = None
    dead_letter_job_type: str | None = None
    id: UUID | str | None = None

    def to_job(self, *, max_payload_bytes: int, at: At = ()) -> NewJob:
        """The job asked for. Invalid names the field that is out of its range, below `at`."""
        if self.run_at is not None and self.delay is not None:
            raise _both_times(at)
        is_killed = bool(optional(fields.flag, self.force_kill_on_timeout, (*at, "force_kill_on_timeout")))
        if is_killed and self.timeout_ms is None:
            raise fields.refused((*at, "force_kill_on_timeout"), "needs timeout_ms")
        id = optional(fields.own_id, self.id, (*at, "id"))
        return NewJob(
            id=id or new_id(),
            job_type=fields.name(self.job_type, (*at, "job_type")),
            payload=fields.payload(self.payload, (*at, "payload"), most=max_payload_bytes),
            priority=fields.priority(self.priority, (*at, "priority")),
            run_at=optional(fields.instant, self.run_at, (*at, "run_at")),
            delay=optional(fields.delay, self.delay, (*at, "delay")),
            max_attempts=optional(fields.attempts, self.max_attempts, (*at, "max_attempts")),
            timeout_ms=optional(fields.milliseconds, self.timeout_ms, (*at, "timeout_ms")),
            force_kill_on_timeout=is_killed,
            tags=fields.tags(self.tags, (*at, "tags")),
            idempotency_key=optional(fields.key, self.idempotency_key, (*at, "idempotency_key")),
            retry=self._retry(at),
            dead_letter_job_type=optional(fields.name, self.dead_letter_job_type, (*at, "dead_letter_job_type")),
            id_is_callers=id is not None,
        )

    def _retry(self, at: At) -> RetryPolicy:
        if self.retry_delay is None and self.retry_backoff is None and self.retry_delay_max is None:
            return _RETRY_UNSET
        return RetryPolicy(
            delay=optional(fields.seconds, self.retry_delay, (*at, "retry_delay")),
            backoff=optional(fields.flag, self.retry_backoff, (*at, "retry_backoff")),
            delay_max=optional(fields.seconds, self.retry_delay_max, (*at, "retry_delay_max")),
        )


def edit_of(updates: Mapping[str, Any], *, max_payload_bytes: int) -> JobEdit:
    """New values of a pending job by the names of its fields; None brings a field back to its default, which for the
    payload is null. Invalid: no such field, or none that may be edited, or a value out of its range."""
    if "run_at" in updates and "delay" in updates:
        raise _both_times(())
    values: dict[str, Any] = {}
    for given, value in updates.items():
        if given == "payload":
            values[given] = fields.payload(value, ("payload",), most=max_payload_bytes)
        elif given == "delay":
            values[given] = fields.delay(value, ("delay",))
        elif given in _RULES:
            values[given] = optional(_RULES[given], value, (given,))
        else:
            editable = ", ".join(sorted({*_RULES, "payload", "delay"}))
            raise Invalid(f"{given} cannot be edited; these can: {editable}", loc=(str(given),))
    return JobEdit(**values)


def _both_times(at: At) -> Invalid:
    return fields.refused((*at, "delay"), "cannot be given together with run_at")
