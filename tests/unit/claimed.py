"""Claimed jobs that no storage knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dataqueue.domain.job import EMPTY_OBJECT, ClaimedJob
from dataqueue.domain.retry import RetryPolicy
from dataqueue.ids import new_id

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
