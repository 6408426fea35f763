"""Filters as scripts take them (`lua/lib/filters.lua`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import orjson

from dataqueue.domain.filters import ANY_TIME, JobFilter, Position, Range
from dataqueue.domain.job import JobStatus
from dataqueue.storage.redis.instants import micros_at
from dataqueue.storage.redis.server import Value

_FOREVER: Final = 1 << 53
"""Instants up to here are whole numbers in a script; whatever happens, happens long before."""
_EMPTY: Final = ("", "")


def asked_of(matching: JobFilter) -> str | None:
    """A filter; None when nothing can match."""
    if matching.group_id is not None or matching.cron_id is not None:
        # No job has a group or a cron yet. When they have, each wants lists of its own in `lua/lib/families.lua`.
        return None
    asked: dict[str, Any] = {
        "statuses": list(dict.fromkeys(matching.statuses)) or list(JobStatus),
        "types": list(dict.fromkeys(matching.job_types)),
        "tags": list(dict.fromkeys(matching.tags)),
        "mode": matching.tag_mode,
    }
    if matching.priority is not None:
        asked["rank"] = -matching.priority
    for name, bounds in (("run_at", matching.run_at), ("created_at", matching.created_at)):
        if bounds != ANY_TIME:
            first, last = _first_and_last(bounds)
            if first > last:
                return None
            asked[name] = [first, last]
    return orjson.dumps(asked).decode()


def placed(before: Position | None) -> tuple[Value, Value]:
    """The place after which a walk begins."""
    return _EMPTY if before is None else (micros_at(before.created_at), before.seq)


def _first_and_last(bounds: Range) -> tuple[int, int]:
    """The instants between which a range lies, both of it."""
    least = [(bounds.gt, 1), (bounds.gte, 0), (bounds.eq, 0)]
    most = [(bounds.lt, -1), (bounds.lte, 0), (bounds.eq, 0)]
    return max([0, *_moved(least)]), min([_FOREVER, *_moved(most)])


def _moved(bounds: list[tuple[datetime | None, int]]) -> list[int]:
    return [micros_at(instant) + by for instant, by in bounds if instant is not None]
