"""What a line of the log is about: the request in hand, the job at work. Looked up only when something is logged."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from structlog.typing import EventDict, WrappedLogger

from dataqueue.domain.claimed import ClaimedJob

request_in_hand: Final[ContextVar[str | None]] = ContextVar("request_in_hand", default=None)
"""The request id of what this process is answering."""
job_at_work: Final[ContextVar[ClaimedJob | None]] = ContextVar("job_at_work", default=None)
"""The job whose handler is running."""


def add_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor of structlog: adds `request_id`, or `job_id`, `job_type` and `attempt`, where the line has none."""
    if (request_id := request_in_hand.get()) is not None:
        event.setdefault("request_id", request_id)
    if (job := job_at_work.get()) is not None:
        event.setdefault("job_id", str(job.id))
        event.setdefault("job_type", job.job_type)
        event.setdefault("attempt", job.attempts)
    return event
