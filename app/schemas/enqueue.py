"""What a caller sends to enqueue, and the answer (contract 1.1)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, WithJsonSchema
from pydantic.config import JsonDict

from app.errors import Code, Problem, invalid
from app.json_text import json_text
from app.schemas import examples
from app.schemas.examples import shown
from app.schemas.fields import (
    Delay,
    IdempotencyKey,
    Instant,
    Name,
    NotBuilt,
    OwnId,
    Seconds,
    Tag,
    duration_schema,
)
from dataqueue.domain.job import EMPTY_OBJECT, JobStatus, Json, NewJob
from dataqueue.domain.limits import (
    HIGHEST_PRIORITY,
    LARGEST_BATCH,
    LONGEST_TIMEOUT_MS,
    LOWEST_PRIORITY,
    MOST_ATTEMPTS,
    MOST_TAGS,
)
from dataqueue.domain.retry import RetryPolicy
from dataqueue.ids import new_id


def once_each(tags: list[str]) -> list[str]:
    """Each tag once, in the order given."""
    return tags if len(tags) < 2 else list(dict.fromkeys(tags))


Payload = Annotated[Any, AfterValidator(json_text), WithJsonSchema({"description": "Any JSON value.", "default": {}})]


class RequestBody(BaseModel):
    """A body: strict types, no unknown field. `body_limit` names the setting that bounds its size."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    body_limit: ClassVar[str] = "max_body_bytes"


class NoFields(RequestBody):
    """An empty object; sending nothing at all is the same."""


# Said as what may not be: each of the two may be there, or null.
_BOTH_TIMES: Final[JsonDict] = {
    "required": ["run_at", "delay"],
    "properties": {name: {"not": {"type": "null"}} for name in ("run_at", "delay")},
}
_KILLED_AT_NO_TIME: Final[JsonDict] = {
    "required": ["force_kill_on_timeout"],
    "properties": {"force_kill_on_timeout": {"const": True}, "timeout_ms": {"type": "null"}},
}
_CONTRADICTIONS: Final[JsonDict] = {"anyOf": [_BOTH_TIMES, _KILLED_AT_NO_TIME]}


class EnqueueRequest(RequestBody):
    """A job to do. Only `job_type` is required."""

    model_config = ConfigDict(json_schema_extra={**shown(examples.REQUEST), "not": _CONTRADICTIONS})

    job_type: Name = Field(description="Which handler does it.")
    # A factory, because a default would be documented as the text it is.
    payload: Payload = Field(default_factory=lambda: EMPTY_OBJECT, description="What the handler is given.")
    priority: Annotated[int, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)] = Field(
        0, description="Higher goes first."
    )
    run_at: Instant = Field(None, description="Not before this instant; one in the past means now.")
    delay: Annotated[Delay, WithJsonSchema(duration_schema("Not before this long from now."))] = None
    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = Field(
        None, description="How often it may be tried; if not given, what its type says, else 3."
    )
    timeout_ms: Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT_MS)] | None = Field(
        None, description="How long one attempt may take."
    )
    force_kill_on_timeout: bool | None = Field(
        None,
        description="Run it in a process of its own, and kill that when the time is up; needs `timeout_ms`. Such a job "
        "can have no steps and no waits.",
    )
    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS), FailFast(), AfterValidator(once_each)] = Field(
        default_factory=list, description="Labels; a repeated one is kept once."
    )
    idempotency_key: IdempotencyKey | None = Field(
        None, description="Unique in the namespace: a repeat answers with the first job. Also a header."
    )
    retry_delay: Annotated[
        Seconds, WithJsonSchema(duration_schema("Base of the delay between attempts.", zero=True))
    ] = None
    retry_backoff: bool | None = Field(None, description="Whether the delay doubles with each attempt.")
    retry_delay_max: Annotated[Seconds, WithJsonSchema(duration_schema("Cap of a growing delay.", zero=True))] = None
    dead_letter_job_type: Name | None = Field(None, description="Type of the job made of this one if it fails.")
    id: OwnId = Field(None, description="Your own id for it, a UUIDv7.")
    group: NotBuilt = None
    depends_on: NotBuilt = None


class BatchJob(EnqueueRequest):
    """A job of a batch."""

    ref: NotBuilt = None


class BatchRequest(RequestBody):
    """Jobs that are stored together or not at all."""

    model_config = ConfigDict(json_schema_extra=shown(examples.BATCH))
    body_limit: ClassVar[str] = "max_batch_bytes"

    # Fails fast: the first bad job ends it, or a large enough body would list millions of faults.
    jobs: Annotated[list[BatchJob], FailFast()] = Field(max_length=LARGEST_BATCH)


class EnqueuedOut(BaseModel):
    """What became of an enqueue."""

    model_config = ConfigDict(json_schema_extra=shown(examples.ENQUEUED))

    id: UUID
    status: JobStatus
    created: bool = Field(description="False when the idempotency key found an earlier job.")


class BatchOut(BaseModel):
    """The answers to a batch, in order."""

    model_config = ConfigDict(json_schema_extra=shown(examples.BATCH_ENQUEUED))

    jobs: list[EnqueuedOut]


def new_job(
    request: EnqueueRequest,
    *,
    max_payload_bytes: int,
    at: tuple[str | int, ...] = ("body",),
    header_key: str | None = None,
) -> NewJob:
    """The job asked for. Refuses what no single field can see, with `at` as the place."""
    if request.run_at is not None and request.delay is not None:
        raise invalid((*at, "delay"), "cannot be given together with run_at")
    if request.force_kill_on_timeout and request.timeout_ms is None:
        raise invalid((*at, "force_kill_on_timeout"), "needs timeout_ms")
    key = request.idempotency_key
    if header_key is not None:
        if key is not None and key != header_key:
            raise invalid(("header", "idempotency-key"), "differs from idempotency_key in the body")
        key = header_key
    check_size(request.payload, max_payload_bytes, at)
    return NewJob(
        id=request.id or new_id(),
        job_type=request.job_type,
        payload=request.payload,
        priority=request.priority,
        run_at=request.run_at,
        delay=request.delay,
        max_attempts=request.max_attempts,
        timeout_ms=request.timeout_ms,
        tags=tuple(request.tags),
        idempotency_key=key,
        retry=_retry(request),
        dead_letter_job_type=request.dead_letter_job_type,
        force_kill_on_timeout=bool(request.force_kill_on_timeout),
        id_is_callers=request.id is not None,
    )


_RETRY_UNSET: Final = RetryPolicy()


def _retry(request: EnqueueRequest) -> RetryPolicy:
    delay, backoff, most = request.retry_delay, request.retry_backoff, request.retry_delay_max
    if delay is None and backoff is None and most is None:
        return _RETRY_UNSET
    return RetryPolicy(delay=delay, backoff=backoff, delay_max=most)


def check_size(payload: Json, limit: int, at: tuple[str | int, ...]) -> None:
    """413 for a payload of more bytes than `limit`."""
    size = len(payload)
    if size <= limit and not payload.isascii():
        size = len(payload.encode())
    if size > limit:
        where = ".".join(str(part) for part in (*at, "payload"))
        raise Problem(413, Code.PAYLOAD_TOO_LARGE, f"{where} is larger than the limit of {limit} bytes.")
