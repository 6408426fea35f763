"""A job queue as a service. What people import stands here; everything else is ours to move."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from dataqueue.context import JobContext
from dataqueue.domain.filters import JobFilter, Range, TagMode
from dataqueue.domain.job import ClaimedJob, Enqueued, Job, JobStatus
from dataqueue.domain.retention import Retention
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

if TYPE_CHECKING:
    from dataqueue.client import AsyncClient, Client
    from dataqueue.job_spec import JobSpec
    from dataqueue.queue import Queue
    from dataqueue.sync import SyncQueue

_LATER: Final = {
    "AsyncClient": "dataqueue.client",
    "Client": "dataqueue.client",
    "JobSpec": "dataqueue.job_spec",
    "Queue": "dataqueue.queue",
    "SyncQueue": "dataqueue.sync",
}
"""Imported when they are first asked for: handlers do without them, and they cost more than all the rest."""

__all__ = [
    "AlreadyExists",
    "AsyncClient",
    "ClaimedJob",
    "Client",
    "Conflict",
    "DataQueueError",
    "Enqueued",
    "HandlerRegistry",
    "IdempotencyInProgress",
    "IllegalTransition",
    "InsufficientScope",
    "Invalid",
    "Job",
    "JobContext",
    "JobFilter",
    "JobSpec",
    "JobStatus",
    "LeaseLost",
    "NotFound",
    "Queue",
    "Range",
    "Reject",
    "Retention",
    "Retry",
    "StorageNotReady",
    "StorageRefused",
    "StorageUnavailable",
    "SyncQueue",
    "TagMode",
    "Unauthenticated",
    "Unsupported",
    "handler",
    "on_shutdown",
    "on_startup",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
