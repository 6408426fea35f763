"""How long to wait before trying again, when nobody should do so at the same moment as everybody else."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

FIRST: Final = 0.1
_LARGEST_EXPONENT: Final = 20


class Backoff:
    """Full jitter, from 0.1 s up to a ceiling that doubles with every failure in a row."""

    def __init__(self, *, longest: float = 5.0, draw: Callable[[], float] = random.random) -> None:
        """`draw` answers a number in [0, 1)."""
        self._longest, self._draw = longest, draw
        self.failures = 0

    def next(self) -> float:
        """One more failure: the seconds to wait."""
        self.failures += 1
        ceiling = FIRST * 2.0 ** min(self.failures, _LARGEST_EXPONENT)
        return FIRST + self._draw() * (max(FIRST, min(self._longest, ceiling)) - FIRST)

    def reset(self) -> None:
        self.failures = 0
