"""A job queue as a service. What people import stands here; everything else is ours to move."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from dataqueue.context import JobContext, JobToken, TokenResult
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import Event, EventFilter, EventName
from dataqueue.domain.filters import JobFilter, Position, Range, TagMode
from dataqueue.domain.job import Enqueued, Job, JobStatus
from dataqueue.domain.retention import Retention
from dataqueue.domain.tokens import Token, TokenFilter, TokenPosition, TokenStatus
from dataqueue.errors import (
    AlreadyExists,
    Conflict,
    DataQueueError,
    IdempotencyInProgress,
    IllegalTransition,
    InsufficientScope,
    Invalid,
    InvalidSignature,
    LeaseLost,
    NonDeterministicHandler,
    NotFound,
    PositionExpired,
    StepKindChanged,
    StorageNotReady,
    StorageRefused,
    StorageUnavailable,
    TokenAlreadyCompleted,
    TokenExpired,
    Unauthenticated,
    Unsupported,
)
from dataqueue.handlers import HandlerRegistry, Reject, Retry, handler, on_shutdown, on_startup

if TYPE_CHECKING:
    from dataqueue.client import AsyncClient, Client
    from dataqueue.job_spec import JobSpec
    from dataqueue.processors import Processor
    from dataqueue.queue import Queue
    from dataqueue.queue_events import (
        ErrorEvent,
        JobAdded,
        JobCancelled,
        JobCompleted,
        JobEdited,
        JobEvent,
        JobFailed,
        JobProcessing,
        JobProgress,
        JobRetried,
        JobWaiting,
    )
    from dataqueue.storage.answers import JobPage, TokenPage
    from dataqueue.supervising import QueueSupervisor
    from dataqueue.sweeping import BulkChange
    from dataqueue.sync import SyncProcessor, SyncQueue, SyncSupervisor
    from dataqueue.tokens import CreatedToken

_LATER: Final = {
    "AsyncClient": "dataqueue.client",
    "BulkChange": "dataqueue.sweeping",
    "Client": "dataqueue.client",
    "CreatedToken": "dataqueue.tokens",
    "ErrorEvent": "dataqueue.queue_events",
    "JobAdded": "dataqueue.queue_events",
    "JobCancelled": "dataqueue.queue_events",
    "JobCompleted": "dataqueue.queue_events",
    "JobEdited": "dataqueue.queue_events",
    "JobEvent": "dataqueue.queue_events",
    "JobFailed": "dataqueue.queue_events",
    "JobPage": "dataqueue.storage.answers",
    "JobProcessing": "dataqueue.queue_events",
    "JobProgress": "dataqueue.queue_events",
    "JobRetried": "dataqueue.queue_events",
    "JobSpec": "dataqueue.job_spec",
    "JobWaiting": "dataqueue.queue_events",
    "Processor": "dataqueue.processors",
    "Queue": "dataqueue.queue",
    "QueueSupervisor": "dataqueue.supervising",
    "SyncProcessor": "dataqueue.sync",
    "SyncQueue": "dataqueue.sync",
    "SyncSupervisor": "dataqueue.sync",
    "TokenPage": "dataqueue.storage.answers",
}
"""Imported when they are first asked for: handlers do without them, and they cost more than all the rest."""

__all__ = [
    "AlreadyExists",
    "AsyncClient",
    "BulkChange",
    "ClaimedJob",
    "Client",
    "Conflict",
    "CreatedToken",
    "DataQueueError",
    "Enqueued",
    "ErrorEvent",
    "Event",
    "EventFilter",
    "EventName",
    "HandlerRegistry",
    "IdempotencyInProgress",
    "IllegalTransition",
    "InsufficientScope",
    "Invalid",
    "InvalidSignature",
    "Job",
    "JobAdded",
    "JobCancelled",
    "JobCompleted",
    "JobContext",
    "JobEdited",
    "JobEvent",
    "JobFailed",
    "JobFilter",
    "JobPage",
    "JobProcessing",
    "JobProgress",
    "JobRetried",
    "JobSpec",
    "JobStatus",
    "JobToken",
    "JobWaiting",
    "LeaseLost",
    "NonDeterministicHandler",
    "NotFound",
    "Position",
    "PositionExpired",
    "Processor",
    "Queue",
    "QueueSupervisor",
    "Range",
    "Reject",
    "Retention",
    "Retry",
    "StepKindChanged",
    "StorageNotReady",
    "StorageRefused",
    "StorageUnavailable",
    "SyncProcessor",
    "SyncQueue",
    "SyncSupervisor",
    "TagMode",
    "Token",
    "TokenAlreadyCompleted",
    "TokenExpired",
    "TokenFilter",
    "TokenPage",
    "TokenPosition",
    "TokenResult",
    "TokenStatus",
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
