"""When a failed attempt is tried again (contract 1.1, details A15 and C28)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DEFAULT_DELAY: Final = 60.0
LONGEST_DELAY: Final = timedelta(days=365)
_LARGEST_EXPONENT: Final = 40  # 2**40 s is far beyond LONGEST_DELAY and still an exact float


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The three retry fields of a job as given, seconds; None where the caller said nothing."""

    delay: float | None = None
    backoff: bool | None = None
    delay_max: float | None = None

    def delay_after(self, attempt: int, *, draw: Callable[[], float] = random.random) -> timedelta:
        """How long after the failure of attempt `attempt` (1, 2, …) the next one may start.

        No field set: `60 s · 2^attempt`. Backoff: `delay · 2^attempt` times a jitter drawn from
        [0.5, 1), capped at `delay_max`. No backoff: `delay`. Never more than 365 days.

        `draw` answers a number in [0, 1).
        """
        growth = 2.0 ** min(max(attempt, 1), _LARGEST_EXPONENT)
        base = DEFAULT_DELAY if self.delay is None else self.delay
        if self.delay is None and self.backoff is None and self.delay_max is None:
            seconds = base * growth
        elif self.backoff is False:
            seconds = base
        else:
            seconds = base * growth * (0.5 + draw() / 2)
            if self.delay_max is not None:
                seconds = min(seconds, self.delay_max)
        return timedelta(seconds=min(seconds, LONGEST_DELAY.total_seconds()))
