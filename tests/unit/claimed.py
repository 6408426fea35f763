"""Claimed jobs that no storage knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import EMPTY_OBJECT
from dataqueue.domain.retry import RetryPolicy
from dataqueue.ids import new_id
from dataqueue.testing.memory import Memory
from dataqueue.testing.work import MemoryWork

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def a_claimed_job(**fields: Any) -> ClaimedJob:
    return ClaimedJob(
        **{
            "id": new_id(),
            "namespace": "default",
            "job_type": "mail",
            "payload": EMPTY_OBJECT,
            "tags": (),
            "priority": 0,
            "attempts": 1,
            "max_attempts": 3,
            "crashes": 0,
            "invocation": 1,
            "timeout_ms": None,
            "retry": RetryPolicy(),
            "run_at": NOW,
            "created_at": NOW,
            "locked_at": NOW,
            **fields,
        }
    )


def work_for(job: ClaimedJob) -> MemoryWork:
    """What the context of its handler rests on: nothing was done before, and what it says is not kept."""
    clock = ManualClock()
    return MemoryWork(job, Memory(job.id, clock), clock, crash=lambda _: None, noted=lambda _: None)
