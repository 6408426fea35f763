"""Counting that costs a fraction of a microsecond: plain numbers, made into metrics only when somebody asks.

Counted on one thread, read from any: a reader copies first, so it sees at worst a moment ago.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar

OTHER: Final = "_other"
MOST_TYPES: Final = 100
"""Job types that a process tells apart; those that come later are counted together as `_other`."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Histogram:
    """Values by size. `bounds` rise; a value belongs to the first that is not smaller, or to none of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds: Final = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Occurrences(dict[K, int]):
    """How often each thing happened: `occurrences[thing] += 1`."""

    def __missing__(self, _: K) -> int:
        return 0


class PerType(dict[str, V]):
    """Something for each job type, made when the type is first met, for at most `most` of them and `_other`."""

    def __init__(self, make: Callable[[], V], *, most: int = MOST_TYPES) -> None:
        super().__init__()
        self._make, self._most = make, most

    def __missing__(self, job_type: str) -> V:
        name = job_type if len(self) - (OTHER in self) < self._most else OTHER
        if name in self:
            return self[name]
        made = self[name] = self._make()
        return made
