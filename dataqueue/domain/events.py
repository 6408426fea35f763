"""What is said of a job as it moves (contract 4, details C24)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from dataqueue.domain.job import Json


class EventName(StrEnum):
    ADDED = "job:added"
    PROCESSING = "job:processing"
    COMPLETED = "job:completed"
    FAILED = "job:failed"
    RELEASED = "job:released"
    RECLAIMED = "job:reclaimed"
    CANCELLED = "job:cancelled"
    RETRIED = "job:retried"
    EDITED = "job:edited"
    DEAD_LETTERED = "job:dead_lettered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the log. `id` is its position: it only grows, and per job in the order things happened."""

    id: int
    event: EventName
    job_id: UUID
    job_type: str
    tags: tuple[str, ...]
    at: datetime
    data: Json
