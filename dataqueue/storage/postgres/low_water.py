"""Where a claim starts to look (design 4).

While a snapshot is held open anywhere (a dump, a report), the index entries of claimed jobs cannot be removed,
and a claim that starts at the front walks over all of them. A claimer therefore starts at the last job it was
given. What became ready behind that mark, or outranks it, is found by a full look, which comes at least every
`_FULL_LOOK` seconds, and whenever a claim from the marks does not fill: only a backlog has marks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

_FULL_LOOK: Final = 0.2
_BEGINNING: Final = datetime(1, 1, 2, tzinfo=UTC)


class Mark(NamedTuple):
    """A place in the order of claims."""

    rank: int
    run_at: datetime
    seq: int


START: Final = Mark(-(2**31), _BEGINNING, 0)


class LowWater:
    """The marks of one claimer, by job type."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._marks: dict[str, Mark] = {}
        self._looked_at = float("-inf")

    def starts_for(self, job_types: Sequence[str]) -> list[Mark]:
        """Where to start each type in the claim that follows."""
        now = self._monotonic()
        if now - self._looked_at >= _FULL_LOOK:
            self._looked_at = now
            self._marks.clear()
        return [self._marks.get(job_type, START) for job_type in job_types]

    def claimed(self, lasts: dict[str, Mark], *, was_full: bool) -> None:
        """Take note of the last job of each type that the claim was given."""
        if was_full:
            self._marks.update(lasts)
        else:
            self._marks.clear()
            self._looked_at = float("-inf")
