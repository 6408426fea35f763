"""Waiting for the end of a job, for longer than one request may."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dataqueue.client import Client
    from dataqueue.client.answers import Job

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
_LONGEST: Final = 60.0
_SHORTEST: Final = 0.2


def until_ended(client: Client, job_id: str, *, within: float) -> Job:
    """The job as it is when it has ended, or when this many seconds are up."""
    deadline = time.monotonic() + within
    while True:
        asked_at = time.monotonic()
        job = client.get_job(job_id, wait=min(max(deadline - asked_at, 0), _LONGEST))
        if job["status"] in ENDED or time.monotonic() >= deadline:
            return job
        pause(asked_at)


def pause(asked_at: float) -> None:
    """A service that is about to stop holds no answer: it is not asked in a hurry."""
    time.sleep(max(asked_at + _SHORTEST - time.monotonic(), 0))
