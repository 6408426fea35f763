"""Bulk changes from the first batch to the last (contract 1.2, details C20)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from dataqueue.domain.edit import UNSET, JobEdit
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.lifecycle import Verb
from dataqueue.storage.port import JobStore

LARGEST_BATCH: Final = 1000
_WEIGHT_BITS: Final = 12  # of a payload: one more for each 4 KiB
Kind = Literal["ready", "cancel", "ended"]
_TOLD: Final[dict[Verb, tuple[Kind, ...]]] = {
    Verb.CANCEL: ("cancel", "ended"),
    Verb.RETRY: ("ready",),
    Verb.EDIT: ("ready",),
    Verb.DELETE: (),
}


@dataclass(frozen=True, slots=True)
class BulkChange:
    """What a bulk change came to. `matched`: fit the filter in a status that permits the verb; `changed`: really
    changed. `is_whole`: it was not told to stop before the end."""

    matched: int
    changed: int
    is_whole: bool = True


class Sweeper:
    """Cancels, retries, edits or deletes what fits a filter, newest first, a batch at a time.

    The first batch begins at the newest job there is, and each goes on below the one before: jobs enqueued meanwhile
    are newer, and left alone. `announce` is told, batch by batch, of which types jobs were changed.
    """

    def __init__(self, jobs: JobStore, *, announce: Callable[[Kind, set[str]], None]) -> None:
        self._jobs, self._announce = jobs, announce

    async def run(
        self,
        verb: Verb,
        matching: JobFilter,
        *,
        edit: JobEdit | None = None,
        dry_run: bool = False,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> BulkChange:
        """Until nothing is left, or, after the batch under way, until it `is_stopped`; that batch stays changed."""
        matched = changed = 0
        before, limit = None, LARGEST_BATCH // _weight(edit) or 1
        while True:
            batch = await self._jobs.sweep(verb, matching, before=before, limit=limit, edit=edit, dry_run=dry_run)
            matched += batch.matched
            changed += batch.changed
            if batch.job_types:
                for kind in _TOLD[verb]:
                    self._announce(kind, set(batch.job_types))
            before = batch.next
            if before is None or is_stopped():
                return BulkChange(matched, changed, is_whole=before is None)


def _weight(edit: JobEdit | None) -> int:
    """A large payload is written for each job, and for each event: fewer at a time, so that a batch is soon done."""
    return 1 if edit is None or edit.payload is UNSET else 1 + (len(edit.payload) >> _WEIGHT_BITS)
