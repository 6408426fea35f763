"""A namespace at a glance (contract 1.2, details C23)."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.schemas.examples import shown
from app.schemas.tags import COUNTS, Counts

_LATENCY: Final[JsonDict] = {"p50": 48.7, "p95": 212.5, "p99": 1102.4}
_STATS: Final[JsonDict] = {
    "by_status": COUNTS,
    "by_type": {"email.send": COUNTS},
    "oldest_ready_age": 0.84,
    "last_hour": {"added": 61, "completed": 57, "failed": 1, "latency_ms": _LATENCY},
}


class LatencyOut(BaseModel):
    """Milliseconds, each at most 4.4 % off; null: nothing was completed."""

    p50: float | None
    p95: float | None
    p99: float | None


class LastHour(BaseModel):
    """The sixty full minutes before this one, and this one so far."""

    added: int
    completed: int
    failed: int = Field(description="Jobs that failed for good, not attempts.")
    latency_ms: LatencyOut = Field(description="From when a job might start (`run_at`) to its completion.")


class StatsOut(BaseModel):
    """What there is, and what was done lately."""

    model_config = ConfigDict(json_schema_extra=shown(_STATS))

    by_status: Counts
    by_type: dict[str, Counts]
    oldest_ready_age: float | None = Field(
        description="For how many seconds the oldest job has been ready to be claimed; null: there is none. A job that "
        "was retried counts from then."
    )
    last_hour: LastHour
