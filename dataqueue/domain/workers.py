"""Who works (contract 7, details H5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Orders(StrEnum):
    """What a worker is to do: go on, or take no more jobs."""

    RUN = "run"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeen:
    """A worker that has been heard of lately."""

    id: str
    kind: str
    job_types: tuple[str, ...]
    jobs_held: int
    started_at: datetime
    last_beat_at: datetime
    state: Orders
