"""Bulk changes by a filter."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import JobStatus
from dataqueue.domain.lifecycle import Verb, allows
from dataqueue.storage.answers import Swept
from dataqueue.storage.redis.edit import arguments_of
from dataqueue.storage.redis.filters import asked_of, placed
from dataqueue.storage.redis.instants import instant_of
from dataqueue.storage.redis.server import Server

_OF_A_SCRIPT: Final = 300
_CHANGED_AT_ONCE: Final = 50
_LOOKED_AT: Final = 4  # jobs for each of a batch


async def sweep(
    server: Server,
    namespace: str,
    verb: Verb,
    matching: JobFilter,
    *,
    before: Position | None,
    limit: int,
    edit: JobEdit | None,
    dry_run: bool,
) -> Swept:
    """One batch, see `JobStore.sweep`. It is one act, so it is what one script changes, the first that finds anything:
    at most `_CHANGED_AT_ONCE` jobs, whatever is asked for."""
    asked = _narrowed(verb, matching)
    if asked is None:
        return Swept(0, 0, frozenset(), None)
    change = ("",) if dry_run else (verb.value, *(() if edit is None else arguments_of(edit)))
    matched = looked_at = 0
    while True:
        room = limit - matched if dry_run else min(limit, _CHANGED_AT_ONCE)
        found = await server.run("jobs/sweep", namespace, asked, *placed(before), room, _OF_A_SCRIPT, *change)
        why, created_at, seq, looked, fitting, changed, *job_types = found
        matched, looked_at = matched + fitting, looked_at + looked
        if why == "end":
            return Swept(matched, changed, frozenset(job_types), None)
        if seq != "":
            before = Position(instant_of(created_at), seq)
        is_over = matched == limit if dry_run else matched > 0
        if is_over or looked_at >= max(_LOOKED_AT * limit, _OF_A_SCRIPT):
            return Swept(matched, changed, frozenset(job_types), before)


def _narrowed(verb: Verb, matching: JobFilter) -> str | None:
    """The filter, of the statuses that permit the verb; None when nothing can match."""
    asked = matching.statuses or JobStatus
    statuses = tuple(status for status in JobStatus if status in asked and allows(verb, status))
    return asked_of(replace(matching, statuses=statuses)) if statuses else None
