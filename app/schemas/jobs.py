"""A job as read, and how lists are asked for (contract 1 and 1.2)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from app.query import Query
from app.schemas import examples
from app.schemas.examples import shown
from app.schemas.fields import refuse
from dataqueue.domain.durations import TEXT_PATTERN, parse_duration
from dataqueue.domain.job import FailureReason, JobStatus

LONGEST_WAIT: Final = 60
_DIGITS: Final = re.compile(r"\d{1,9}", re.ASCII)
# As JSON writes one: clients that print a float do not choose how many digits it gets.
_NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,30})?(e-\d{1,3})?", re.ASCII | re.IGNORECASE)


def _limit(value: object) -> int:
    if not isinstance(value, str) or not _DIGITS.fullmatch(value) or not 1 <= int(value) <= 1000:
        raise refuse("must be an integer from 1 to 1000")
    return int(value)


def _wait(value: object) -> float:
    number = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    try:
        seconds = parse_duration(number, zero=True).total_seconds()
    except ValueError as error:
        raise refuse(str(error)) from None
    # The number as well: 60.00000000000001 comes to a minute, and is more.
    if seconds > LONGEST_WAIT or (isinstance(number, float) and number > LONGEST_WAIT):
        raise refuse(f"must be at most {LONGEST_WAIT} seconds")
    return seconds


Limit = Annotated[
    int, PlainValidator(_limit), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1000, "default": 50})
]
Wait = Annotated[
    float,
    PlainValidator(_wait),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT},
                {"type": "string", "minLength": 2, "pattern": f"^{TEXT_PATTERN}$"},
            ]
        }
    ),
]


class JobQuery(Query):
    """How a job is read."""

    wait: Wait = Field(
        0.0,
        description="Hold the answer until the job is terminal, at most this long: a duration of 0 to 60 s.",
        examples=["30s"],
    )


class PageQuery(Query):
    """Where in a list, and how much of it."""

    limit: Limit = Field(50, description="How many at most, 1 to 1000.")
    cursor: str | None = Field(
        None, max_length=200, description="The `next_cursor` of the page before, unchanged; none: the first page."
    )


class JobOut(BaseModel):
    """A job as read. Fields of features that are not built yet hold their empty value."""

    model_config = ConfigDict(json_schema_extra=shown(examples.JOB))

    id: UUID
    namespace: str
    job_type: str
    payload: Any
    status: JobStatus
    priority: int
    run_at: datetime
    tags: list[str]
    idempotency_key: str | None
    attempts: int = Field(description="How often it was started.")
    max_attempts: int
    crashes: int = Field(description="How often its worker fell silent; has a budget apart from attempts.")
    timeout_ms: int | None
    force_kill_on_timeout: bool
    retry_delay: float | None = Field(description="Seconds.")
    retry_backoff: bool | None
    retry_delay_max: float | None = Field(description="Seconds.")
    dead_letter_job_type: str | None
    dead_letter_job_id: UUID | None
    dead_lettered_at: datetime | None
    group: dict[str, str | None] | None
    depends_on: dict[str, Any] | None
    cron_id: UUID | None
    progress: int | None = Field(description="0 to 100, as its handler last said.")
    output: Any = Field(description="What the handler set while it ran, or returned; null until then.")
    steps: dict[str, Any] = Field(
        description="What is over of what its handler has done and waited for, by name: `ok` with the result, or "
        "`timeout` where a token expired."
    )
    error_history: list[ErrorEntry]
    failure_reason: FailureReason | None
    pending_reason: str | None = Field(description="Why a pending job cannot be claimed yet; null when it can.")
    wait_until: datetime | None = Field(description="When the wait of a `waiting` job is over at the latest, if ever.")
    wait_token_id: UUID | None = Field(description="The token that a `waiting` job waits for.")
    next_attempt_at: datetime | None
    locked_by: str | None = Field(description="The worker that runs it.")
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


class ErrorEntry(BaseModel):
    """How an attempt failed."""

    message: str
    type: str
    at: datetime
    attempt: int


class JobPage(BaseModel):
    """Jobs, newest first."""

    model_config = ConfigDict(json_schema_extra=shown(examples.JOBS))

    data: list[JobOut]
    next_cursor: str | None = Field(description="Give it back as `cursor` for the next page; null: this is the last.")


class EventOut(BaseModel):
    """What happened to a job or a token. Beside these fields an event has those of its kind, such as `attempt`."""

    model_config = ConfigDict(extra="allow", json_schema_extra=shown(examples.EVENT))

    id: str = Field(description="Opaque position.")
    event: str = Field(examples=["job:completed"])
    job_id: UUID | None = Field(description="Null where a token belongs to no job.")
    job_type: str | None
    tags: list[str] = Field(description="Those the job had then; of a `token:…` event those of the token.")
    at: datetime


class EventPage(BaseModel):
    """Events, oldest first."""

    model_config = ConfigDict(json_schema_extra=shown(examples.EVENTS))

    data: list[EventOut]
    next_cursor: str | None
