"""What an edit changes of a pending job (contract 1.2, details C6 and C7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal

from dataqueue.domain.job import Json


class _Unset(Enum):
    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


Unset = Literal[_Unset.UNSET]
UNSET: Final = _Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEdit:
    """New values; UNSET leaves a field as it is, None brings it back to its default (`run_at`: now).

    `run_at` and `delay` are alternatives; of a job that waits for its next attempt they move that.
    """

    payload: Json | Unset = UNSET
    priority: int | Unset | None = UNSET
    run_at: datetime | Unset | None = UNSET
    delay: timedelta | Unset = UNSET
    max_attempts: int | Unset | None = UNSET
    timeout_ms: int | Unset | None = UNSET
    tags: tuple[str, ...] | Unset | None = UNSET
    retry_delay: float | Unset | None = UNSET
    retry_backoff: bool | Unset | None = UNSET
    retry_delay_max: float | Unset | None = UNSET
    dead_letter_job_type: str | Unset | None = UNSET
    force_kill_on_timeout: bool | Unset | None = UNSET

    def given(self) -> Iterator[tuple[str, Any]]:
        """The fields that change, with their new values."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not UNSET:
                yield field.name, value
