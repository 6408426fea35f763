"""What people import is what we mean them to, and changes on purpose only."""

from __future__ import annotations

import inspect
import subprocess
import sys

import dataqueue
from dataqueue import errors

ERRORS = {
    name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.DataQueueError)
}


def test_the_public_surface_is_this() -> None:
    assert set(dataqueue.__all__) - ERRORS == {
        "AsyncClient",
        "BulkChange",
        "ClaimedJob",
        "Client",
        "CreatedToken",
        "Enqueued",
        "ErrorEvent",
        "Event",
        "EventFilter",
        "EventName",
        "HandlerRegistry",
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
        "Position",
        "Processor",
        "Queue",
        "QueueSupervisor",
        "Range",
        "Reject",
        "Retention",
        "Retry",
        "SyncProcessor",
        "SyncQueue",
        "SyncSupervisor",
        "TagMode",
        "Token",
        "TokenFilter",
        "TokenPage",
        "TokenPosition",
        "TokenResult",
        "TokenStatus",
        "handler",
        "on_shutdown",
        "on_startup",
    }


def test_every_error_is_part_of_it() -> None:
    assert set(dataqueue.__all__) >= ERRORS


def test_every_name_is_there_once_and_in_order() -> None:
    assert dataqueue.__all__ == sorted(set(dataqueue.__all__))
    assert all(hasattr(dataqueue, name) for name in dataqueue.__all__)


def test_handlers_do_not_pay_for_the_storage_or_the_http_library() -> None:
    dear = {"alembic", "asyncpg", "httpx", "sqlalchemy"}
    script = f"import sys, dataqueue; sys.exit(str({dear} & set(sys.modules)) if {dear} & set(sys.modules) else 0)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stderr == ""
