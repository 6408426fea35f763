"""A job queue as a service. What people import stands here; everything else is ours to move."""

from __future__ import annotations

from dataqueue.context import JobContext
from dataqueue.domain.job import ClaimedJob, Job, JobStatus
from dataqueue.errors import (
    AlreadyExists,
    Conflict,
    DataQueueError,
    IdempotencyInProgress,
    IllegalTransition,
    InsufficientScope,
    Invalid,
    LeaseLost,
    NotFound,
    StorageNotReady,
    StorageRefused,
    StorageUnavailable,
    Unauthenticated,
    Unsupported,
)
from dataqueue.handlers import HandlerRegistry, Reject, Retry, handler, on_shutdown, on_startup

__all__ = [
    "AlreadyExists",
    "ClaimedJob",
    "Conflict",
    "DataQueueError",
    "HandlerRegistry",
    "IdempotencyInProgress",
    "IllegalTransition",
    "InsufficientScope",
    "Invalid",
    "Job",
    "JobContext",
    "JobStatus",
    "LeaseLost",
    "NotFound",
    "Reject",
    "Retry",
    "StorageNotReady",
    "StorageRefused",
    "StorageUnavailable",
    "Unauthenticated",
    "Unsupported",
    "handler",
    "on_shutdown",
    "on_startup",
]
