"""How long what has ended is kept (design 3.7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_MONTH: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """From the end of a job to its removal, by terminal status; its idempotency key goes with it."""

    completed: timedelta = _MONTH
    failed: timedelta = _MONTH
    cancelled: timedelta = _MONTH
