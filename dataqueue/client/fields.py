"""What the service is asked with: the fields of a job, of a filter, of a job type's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NotRequired, TypedDict, cast
from uuid import UUID

from dataqueue.client.encoding import Duration, Instant, instant

Id = UUID | str
Query = tuple[tuple[str, str], ...]


class Group(TypedDict):
    id: str
    tier: NotRequired[str]


class DependsOn(TypedDict, total=False):
    """`refs` name jobs of the same batch."""

    job_ids: Sequence[Id]
    tags: Sequence[str]
    refs: Sequence[str]


class JobOptions(TypedDict, total=False):
    """How a job is run. Left out or None: the default of its job type, else of the service."""

    priority: int | None
    run_at: Instant | None
    delay: Duration | None
    max_attempts: int | None
    timeout_ms: int | None
    force_kill_on_timeout: bool | None
    tags: Sequence[str] | None
    retry_delay: Duration | None
    retry_backoff: bool | None
    retry_delay_max: Duration | None
    dead_letter_job_type: str | None
    group: Group | None


class EnqueueOptions(JobOptions, total=False):
    """Beside how a job is run, what makes it this one job."""

    idempotency_key: str | None
    depends_on: DependsOn | None
    id: Id | None


class JobFields(EnqueueOptions):
    """A job of a batch or an import. `ref` names it to others of its batch."""

    job_type: str
    payload: NotRequired[Any]
    ref: NotRequired[str]


class Edits(JobOptions, total=False):
    """What is changed of a pending job. None clears: the field is as if it had never been given."""

    payload: Any


class Range(TypedDict, total=False):
    gt: Instant
    gte: Instant
    lt: Instant
    lte: Instant
    eq: Instant


class Filter(TypedDict, total=False):
    """Which jobs. Values of one field are alternatives, fields narrow each other; `tags` go by `tag_mode`.

    `tag_mode`: "all" of the tags (if not given), "any", "none", or "exact", these and no other.
    """

    status: str | Sequence[str] | None
    job_type: str | Sequence[str] | None
    priority: int | None
    group_id: str | None
    tags: str | Sequence[str] | None
    tag_mode: str | None
    cron_id: Id | None
    run_at: Instant | Range | None
    created_at: Instant | Range | None


class TokenFilter(TypedDict, total=False):
    """Which tokens; as `Filter`."""

    status: str | Sequence[str] | None
    tags: str | Sequence[str] | None
    tag_mode: str | None
    job_id: Id | None


class RateLimit(TypedDict):
    """At most `limit` starts in any `period`, `per` "type" or "group"."""

    limit: int
    period: Duration
    per: NotRequired[str]


class JobTypeSettings(TypedDict, total=False):
    """Limits of a job type, and defaults of its new jobs."""

    paused: bool
    concurrency: int | None
    group_concurrency: int | None
    rate_limit: RateLimit | None
    max_attempts: int | None
    timeout_ms: int | None
    retry_delay: Duration | None
    retry_backoff: bool | None
    retry_delay_max: Duration | None


_INSTANTS: Final = frozenset({"run_at", "created_at"})


def given(fields: Mapping[str, object]) -> dict[str, Any]:
    """The fields that are not None: a null is no default to the service."""
    return {name: value for name, value in fields.items() if value is not None}


def job_of(fields: Mapping[str, object]) -> dict[str, Any]:
    """A job to enqueue. A payload of None is the payload null."""
    return {name: value for name, value in fields.items() if value is not None or name == "payload"}


def filter_json(where: Filter) -> dict[str, object]:
    """A filter as the body of a bulk change has it. None goes along, to be refused: left out it would widen it."""
    return {
        name: _bounds(value) if name in _INSTANTS and value is not None else _listed(value)
        for name, value in where.items()
    }


def filter_query(where: Filter) -> Query:
    """A filter as the parameters of a list; None is as if it were not there. ValueError for what is empty."""
    return tuple(_parameters(given(where)))


def _parameters(where: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in where.items():
        if not value and not isinstance(value, str | int):
            raise ValueError(f"{name}: what is empty does not narrow what is found: leave it out")
        if name not in _INSTANTS:
            several = _listed(value)
            yield from ((name, str(one)) for one in (several if isinstance(several, list) else [several]))
        elif isinstance(bounds := _bounds(value), dict):
            yield from ((f"{name}[{bound}]", text) for bound, text in bounds.items())
        else:
            yield name, bounds


def _listed(value: object) -> object:
    return value if isinstance(value, str) or not isinstance(value, Sequence) else list(value)


def _bounds(value: object) -> dict[str, str] | str:
    if isinstance(value, Mapping):
        return {str(bound): instant(cast(Instant, at)) for bound, at in value.items()}
    return instant(cast(Instant, value))
