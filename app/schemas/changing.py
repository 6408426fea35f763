"""What a caller sends to change a job (contract 1.2, details C6 and C7)."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from app.errors import invalid
from app.schemas import examples
from app.schemas.enqueue import Payload, RequestBody, check_size, once_each
from app.schemas.examples import shown
from app.schemas.fields import Delay, Instant, Name, NotBuilt, Seconds, Tag, duration_schema
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.job import NULL
from dataqueue.domain.limits import (
    HIGHEST_PRIORITY,
    LONGEST_TIMEOUT_MS,
    LOWEST_PRIORITY,
    MOST_ATTEMPTS,
    MOST_TAGS,
)

_NOT_BUILT: Final = frozenset({"group"})


class EditRequest(RequestBody):
    """New values for a pending job. A field that is not there stays; null brings it back to its default."""

    model_config = ConfigDict(json_schema_extra={**shown(examples.EDIT), "not": {"required": ["run_at", "delay"]}})

    payload: Annotated[
        Payload, WithJsonSchema({"description": "What the handler is given. Null is the value null."})
    ] = Field(default_factory=lambda: NULL)
    priority: Annotated[int, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)] | None = Field(
        None, description="Higher goes first; null: 0."
    )
    run_at: Instant = Field(
        None, description="Not before this instant; null: now. Moves the next attempt of a job that waits for it."
    )
    delay: Annotated[Delay, WithJsonSchema(duration_schema("Not before this long from now; null: now."))] = None
    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = Field(
        None, description="How often it may be tried; null: what its type says, else 3."
    )
    timeout_ms: Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT_MS)] | None = Field(
        None, description="How long one attempt may take; null: as long as it takes."
    )
    force_kill_on_timeout: bool | None = Field(
        None, description="Whether the process it runs in is killed when the time is up; null: it is not."
    )
    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS), AfterValidator(once_each)] | None = Field(
        None, description="All of its labels from now on; null: none."
    )
    retry_delay: Annotated[
        Seconds, WithJsonSchema(duration_schema("Base of the delay between attempts.", zero=True))
    ] = None
    retry_backoff: bool | None = Field(None, description="Whether the delay doubles with each attempt.")
    retry_delay_max: Annotated[Seconds, WithJsonSchema(duration_schema("Cap of a growing delay.", zero=True))] = None
    dead_letter_job_type: Name | None = Field(None, description="Type of the job made of this one if it fails.")
    group: NotBuilt = None


def job_edit(request: EditRequest, *, max_payload_bytes: int, at: tuple[str, ...] = ("body",)) -> JobEdit:
    """The edit asked for. Refuses what no single field can see, with `at` as the place."""
    names = request.model_fields_set - _NOT_BUILT
    if {"run_at", "delay"} <= names:
        raise invalid((*at, "delay"), "cannot be given together with run_at")
    if "payload" in names:
        check_size(request.payload, max_payload_bytes, at)
    values = {name: getattr(request, name) for name in names}
    if request.tags is not None:
        values["tags"] = tuple(request.tags)
    if "delay" in names and request.delay is None:
        values["run_at"] = values.pop("delay")
    return JobEdit(**values)
