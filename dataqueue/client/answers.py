"""What the service answers, as parsed JSON: instants are RFC 3339 text, ids are text, durations are seconds."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Enqueued(TypedDict):
    """What became of an enqueue. `created` is false when the idempotency key found an earlier job."""

    id: str
    status: str
    created: bool


class ErrorEntry(TypedDict):
    """How an attempt failed."""

    message: str
    type: str
    at: str
    attempt: int


class Group(TypedDict):
    id: str
    tier: str | None


class DependsOn(TypedDict):
    job_ids: list[str]
    tags: list[str]


class Job(TypedDict):
    """A job as read."""

    id: str
    namespace: str
    job_type: str
    payload: Any
    status: str
    priority: int
    run_at: str
    tags: list[str]
    idempotency_key: str | None
    attempts: int
    max_attempts: int
    crashes: int
    timeout_ms: int | None
    force_kill_on_timeout: bool
    retry_delay: float | None
    retry_backoff: bool | None
    retry_delay_max: float | None
    dead_letter_job_type: str | None
    dead_letter_job_id: str | None
    dead_lettered_at: str | None
    group: Group | None
    depends_on: DependsOn | None
    cron_id: str | None
    progress: int | None
    output: Any
    steps: dict[str, Any]
    error_history: list[ErrorEntry]
    failure_reason: str | None
    pending_reason: str | None
    wait_until: str | None
    wait_token_id: str | None
    next_attempt_at: str | None
    locked_by: str | None
    locked_at: str | None
    lease_expires_at: str | None
    cancel_requested: bool
    created_at: str
    updated_at: str
    started_at: str | None
    completed_at: str | None
    last_retried_at: str | None
    last_failed_at: str | None
    last_cancelled_at: str | None


class Event(TypedDict):
    """What happened to a job, or to a token that may belong to none; beside these fields those of its kind, such as
    `attempt` or `message`."""

    id: str
    event: str
    job_id: str | None
    job_type: str | None
    tags: list[str]
    at: str


class Token(TypedDict):
    """A token as read. `job_id` and `name`: the job that made it, and the step in which it did."""

    id: str
    status: str
    tags: list[str]
    job_id: str | None
    name: str | None
    output: Any
    timeout_at: str | None
    created_at: str
    completed_at: str | None
    expired_at: str | None


class CreatedToken(Token):
    """A token just made. A POST to `callback_url` completes it, without a key."""

    callback_url: str


class BulkResult(TypedDict):
    """`matched`: jobs of the filter that permit the verb. `changed`: what was done, 0 in a dry run."""

    matched: int
    changed: int


class Tag(TypedDict):
    tag: str
    counts: dict[str, int]
    total: int


class RateLimit(TypedDict):
    limit: int
    period: float
    per: str


class JobType(TypedDict):
    """A job type with its settings, null where nothing is set, and its jobs by status."""

    job_type: str
    paused: bool
    concurrency: int | None
    group_concurrency: int | None
    rate_limit: RateLimit | None
    max_attempts: int | None
    timeout_ms: int | None
    retry_delay: float | None
    retry_backoff: bool | None
    retry_delay_max: float | None
    counts: dict[str, int]


class LastHour(TypedDict):
    added: int
    completed: int
    failed: int
    latency_ms: dict[str, float | None]


class Stats(TypedDict):
    by_status: dict[str, int]
    by_type: dict[str, dict[str, int]]
    oldest_ready_age: float | None
    last_hour: LastHour


class Worker(TypedDict):
    id: str
    kind: str
    job_types: list[str]
    jobs_held: int
    last_beat_at: str
    state: str


class MaintenanceRun(TypedDict):
    reclaimed_jobs: int
    expired_tokens: int
    cleaned_up_jobs: int
    cleaned_up_events: int


class LineError(TypedDict):
    code: str
    detail: str


class ImportSummary(TypedDict):
    lines: int
    created: int
    existing: int
    rejected: int


class ImportAnswer(TypedDict):
    """About a line: `line` with `id` and `created`, or with `error`. The last answer has `summary` alone."""

    line: NotRequired[int]
    id: NotRequired[str]
    created: NotRequired[bool]
    error: NotRequired[LineError]
    summary: NotRequired[ImportSummary]
