"""Hearing what a worker does, for whoever runs one inside a program of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Failure, Json, Note
from dataqueue.domain.steps import Wait
from dataqueue.processing.leases import Held


class Observer(Protocol):
    """Told of what a worker has done, each after the storage has confirmed it. On the worker's loop; must not block."""

    def started(self, held: Held) -> None: ...
    def ended(self, held: Held) -> None:
        """The handler has ended (`held.ran`), whatever in, and whether or not that is still of interest."""
        ...

    def completed(self, held: Held, output: Json | None) -> None: ...
    def failed(self, held: Held, failure: Failure) -> None: ...
    def cancelled(self, held: Held) -> None: ...
    def suspended(self, held: Held, waits: Sequence[Wait]) -> None:
        """The handler waits, and holds no slot meanwhile."""
        ...

    def noted(self, held: Held, note: Note) -> None:
        """What a handler said while it works is kept."""
        ...

    def released(self, held: Held) -> None:
        """The job was given back with its attempt."""
        ...

    def lost(self, held: Held) -> None:
        """The lease is gone: somebody else has the job, or may have it."""
        ...

    def crashed(self, held: Held) -> None:
        """The job has ended the process it ran in alone."""
        ...

    def troubled(self, error: Exception, *, source: str) -> None:
        """Something went wrong around the handlers; it is being dealt with. `source`: what was being done."""
        ...


def will_retry(job: ClaimedJob, failure: Failure) -> bool:
    """Whether a failed attempt is followed by another."""
    return failure.retry_after is not None and job.attempts < job.max_attempts
