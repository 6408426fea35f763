"""Job types, what is set for them and what they have (contract 1.3, details D1 and D2)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from app.schemas.enqueue import RequestBody
from app.schemas.examples import shown
from app.schemas.fields import NotBuilt, Seconds, duration_schema
from app.schemas.tags import COUNTS, Counts
from dataqueue.domain.counts import JobTypeSettings
from dataqueue.domain.limits import LONGEST_TIMEOUT_MS, MOST_ATTEMPTS

_SETTINGS: Final[JsonDict] = {"paused": False, "max_attempts": 5, "timeout_ms": 30_000, "retry_delay": 10}
_JOB_TYPE: Final[JsonDict] = {
    "job_type": "email.send",
    **_SETTINGS,
    "concurrency": None,
    "group_concurrency": None,
    "rate_limit": None,
    "retry_backoff": None,
    "retry_delay_max": None,
    "counts": COUNTS,
}


class JobTypeSettingsIn(RequestBody):
    """All that is set for a type: what is not there is unset.

    `max_attempts`, `timeout_ms` and the three retry fields are defaults of new jobs that name none. The retry
    fields are one choice: a job that names one of them takes none of the others from here.
    """

    model_config = ConfigDict(json_schema_extra=shown(_SETTINGS))

    paused: bool = Field(False, description="Whether workers are given none of its jobs.")
    concurrency: NotBuilt = None
    group_concurrency: NotBuilt = None
    rate_limit: NotBuilt = None
    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = Field(
        None, description="How often a job may be tried."
    )
    timeout_ms: Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT_MS)] | None = Field(
        None, description="How long one attempt may take."
    )
    retry_delay: Annotated[
        Seconds, WithJsonSchema(duration_schema("Base of the delay between attempts.", zero=True))
    ] = None
    retry_backoff: bool | None = Field(None, description="Whether the delay doubles with each attempt.")
    retry_delay_max: Annotated[Seconds, WithJsonSchema(duration_schema("Cap of a growing delay.", zero=True))] = None

    def settings(self) -> JobTypeSettings:
        """As the storage takes them."""
        return JobTypeSettings(
            paused=self.paused,
            max_attempts=self.max_attempts,
            timeout_ms=self.timeout_ms,
            retry_delay=self.retry_delay,
            retry_backoff=self.retry_backoff,
            retry_delay_max=self.retry_delay_max,
        )


class JobTypeOut(BaseModel):
    """A type that has jobs or settings. Settings of features that are not built yet are null."""

    model_config = ConfigDict(json_schema_extra=shown(_JOB_TYPE))

    job_type: str
    paused: bool
    concurrency: int | None
    group_concurrency: int | None
    rate_limit: dict[str, Any] | None
    max_attempts: int | None
    timeout_ms: int | None
    retry_delay: float | None = Field(description="Seconds.")
    retry_backoff: bool | None
    retry_delay_max: float | None = Field(description="Seconds.")
    counts: Counts


class JobTypePage(BaseModel):
    """Job types, by name."""

    model_config = ConfigDict(json_schema_extra=shown({"data": [_JOB_TYPE], "next_cursor": None}))

    data: list[JobTypeOut]
    next_cursor: str | None = Field(description="Give it back as `cursor` for the next page; null: this is the last.")
