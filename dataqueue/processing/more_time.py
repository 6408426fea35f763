"""Asking a handler whether it needs more time than its job was given."""

from __future__ import annotations

from datetime import timedelta

import structlog

from dataqueue.domain.job import ClaimedJob
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
        ms = answer / timedelta(milliseconds=1) if isinstance(answer, timedelta) else float(answer)
        if not 1 <= ms <= LONGEST_TIMEOUT_MS:
            raise ValueError("on_timeout must return milliseconds, 1 or more, or None")
    except Exception:
        log.exception("job.on_timeout_failed", job_id=str(job.id), job_type=job.job_type)
        return None
    return int(ms)
