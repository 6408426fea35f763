"""Asking a handler whether it needs more time than its job was given."""

from __future__ import annotations

from datetime import timedelta

import structlog

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.limits import LONGEST_TIMEOUT_MS
from dataqueue.work import OnTimeout

log = structlog.get_logger(__name__)


def asked_for(callback: OnTimeout, job: ClaimedJob) -> int | None:
    """Milliseconds, or None when there is to be no more. A callback that fails, or answers with what is no duration,
    gets none; the log tells."""
    try:
        answer = callback()
        if answer is None:
            return None
        ms: object = answer / timedelta(milliseconds=1) if isinstance(answer, timedelta) else answer
        if isinstance(ms, int | float) and 1 <= ms <= LONGEST_TIMEOUT_MS:
            return int(ms)
        said = f"it must return milliseconds, 1 or more, a timedelta, or None; got {type(answer).__name__}"
        log.warning("job.on_timeout_failed", job_id=str(job.id), job_type=job.job_type, error=said)
    except Exception:
        log.exception("job.on_timeout_failed", job_id=str(job.id), job_type=job.job_type)
    return None
