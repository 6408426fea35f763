"""Which jobs, in a query string and in a body: one rule for both (contract 1.2, details C19)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from app.errors import invalid
from app.schemas import examples
from app.schemas.enqueue import RequestBody
from app.schemas.examples import shown
from app.schemas.fields import Instant, JobId, Moment, Name, Tag, refuse
from app.schemas.jobs import PageQuery
from dataqueue.domain.filters import JobFilter, Range, TagMode
from dataqueue.domain.job import JobStatus
from dataqueue.domain.limits import HIGHEST_PRIORITY, LOWEST_PRIORITY, MOST_TAGS

_INTEGER: Final = re.compile(r"-?\d{1,6}", re.ASCII)
_MOST_ALTERNATIVES: Final = 100
_BOUNDS: Final = ("gt", "gte", "lt", "lte", "eq")


def _priority(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _INTEGER.fullmatch(value) or not -32768 <= int(value) <= 32767:
        raise refuse("must be an integer from -32768 to 32767")
    return int(value)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _bare(value: object) -> object:
    return {"eq": value} if isinstance(value, str) else value


PriorityText = Annotated[
    int | None, PlainValidator(_priority), WithJsonSchema({"type": "integer", "minimum": -32768, "maximum": 32767})
]
Statuses = Annotated[list[JobStatus], Field(max_length=_MOST_ALTERNATIVES)]
Names = Annotated[list[Name], Field(max_length=_MOST_ALTERNATIVES)]
Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS)]
_TAG_MODE: Final = (
    "How `tags` narrow: `all` of them (the default), `any`, `exact` these in any order, or `none` of them."
)


class JobListQuery(PageQuery):
    """Which jobs. Values of one parameter are alternatives (of `tags`: a set), parameters narrow each other."""

    status: Statuses = Field(default_factory=list, description="Repeat for several.")
    job_type: Names = Field(default_factory=list, description="Repeat for several.")
    priority: PriorityText = Field(None, description="This priority exactly.")
    group_id: Tag | None = Field(None, description="Of this group.")
    tags: Tags = Field(default_factory=list, description="Repeat for several; see `tag_mode`.")
    tag_mode: TagMode | None = Field(None, description=_TAG_MODE)
    cron_id: Annotated[UUID | None, *JobId.__metadata__] = Field(None, description="Made by this cron.")
    run_at: Instant = Field(None, description="Starting at this instant; the same as `run_at[eq]`.")
    run_at_gt: Instant = Field(None, alias="run_at[gt]", description="After.")
    run_at_gte: Instant = Field(None, alias="run_at[gte]", description="At or after.")
    run_at_lt: Instant = Field(None, alias="run_at[lt]", description="Before.")
    run_at_lte: Instant = Field(None, alias="run_at[lte]", description="At or before.")
    run_at_eq: Instant = Field(None, alias="run_at[eq]", description="At.")
    created_at: Instant = Field(None, description="Enqueued at this instant; the same as `created_at[eq]`.")
    created_at_gt: Instant = Field(None, alias="created_at[gt]", description="After.")
    created_at_gte: Instant = Field(None, alias="created_at[gte]", description="At or after.")
    created_at_lt: Instant = Field(None, alias="created_at[lt]", description="Before.")
    created_at_lte: Instant = Field(None, alias="created_at[lte]", description="At or before.")
    created_at_eq: Instant = Field(None, alias="created_at[eq]", description="At.")


def _not_given() -> Any:
    return None


class RangeBody(RequestBody):
    """Bounds that hold together; at least one."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    gt: Moment = Field(default_factory=_not_given, description="After.")
    gte: Moment = Field(default_factory=_not_given, description="At or after.")
    lt: Moment = Field(default_factory=_not_given, description="Before.")
    lte: Moment = Field(default_factory=_not_given, description="At or before.")
    eq: Moment = Field(default_factory=_not_given, description="At.")


_Range = Annotated[RangeBody, BeforeValidator(_bare, json_schema_input_type=Moment | RangeBody)]
_SeveralStatuses = Annotated[Statuses, Field(min_length=1)]
_SeveralNames = Annotated[Names, Field(min_length=1)]


class FilterBody(RequestBody):
    """Which jobs: the parameters of a list, in JSON. `{}`: all of the namespace.

    A field that is there must say something. An empty list, an empty range or null would leave the filter wider than
    whoever wrote it believes.
    """

    model_config = ConfigDict(json_schema_extra={**shown(examples.FILTER), "dependentRequired": {"tag_mode": ["tags"]}})

    status: Annotated[
        _SeveralStatuses, BeforeValidator(_listed, json_schema_input_type=JobStatus | _SeveralStatuses)
    ] = Field(default_factory=list, description="One or several.")
    job_type: Annotated[_SeveralNames, BeforeValidator(_listed, json_schema_input_type=Name | _SeveralNames)] = Field(
        default_factory=list, description="One or several."
    )
    priority: Annotated[int, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)] = Field(
        default_factory=_not_given, description="This priority exactly."
    )
    group_id: Tag = Field(default_factory=_not_given, description="Of this group.")
    tags: Annotated[Tags, Field(min_length=1)] = Field(default_factory=list, description="See `tag_mode`.")
    tag_mode: TagMode = Field(default_factory=_not_given, description=_TAG_MODE)
    cron_id: JobId = Field(default_factory=_not_given, description="Made by this cron.")
    run_at: _Range = Field(default_factory=_not_given, description="Bounds, or one instant: that exactly.")
    created_at: _Range = Field(default_factory=_not_given, description="Bounds, or one instant: that exactly.")


def filter_of_query(query: JobListQuery) -> JobFilter:
    """The filter asked for by a list."""

    def bounds(column: str) -> Range:
        given = {name: getattr(query, f"{column}_{name}") for name in _BOUNDS}
        bare: datetime | None = getattr(query, column)
        if bare is not None and given["eq"] is not None:
            raise invalid(("query", column), f"cannot be given together with {column}[eq]")
        return Range(**{**given, "eq": bare or given["eq"]})

    return _filter(query, bounds("run_at"), bounds("created_at"), at=("query",))


def filter_of_body(body: FilterBody, *, at: tuple[str, ...] = ("body", "filter")) -> JobFilter:
    """The filter asked for by a bulk change."""

    def bounds(column: str) -> Range:
        given: RangeBody | None = getattr(body, column)
        if given is None:
            return Range()
        if not given.model_fields_set:
            raise invalid((*at, column), "must hold at least one bound")
        return Range(**{name: getattr(given, name) for name in _BOUNDS})

    return _filter(body, bounds("run_at"), bounds("created_at"), at=at)


def _filter(asked: JobListQuery | FilterBody, run_at: Range, created_at: Range, *, at: tuple[str, ...]) -> JobFilter:
    if asked.tag_mode is not None and not asked.tags:
        raise invalid((*at, "tag_mode"), "means nothing without tags")
    return JobFilter(
        statuses=_once(asked.status),
        job_types=_once(asked.job_type),
        priority=asked.priority,
        group_id=asked.group_id,
        tags=_once(asked.tags),
        tag_mode=asked.tag_mode or TagMode.ALL,
        cron_id=asked.cron_id,
        run_at=run_at,
        created_at=created_at,
    )


def _once(values: list[Any]) -> tuple[Any, ...]:
    """Each value once, in an order of its own: what the same filter is, however it was written."""
    return tuple(sorted(set(values)))
