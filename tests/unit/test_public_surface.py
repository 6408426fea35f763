"""What people import is what we mean them to, and changes on purpose only."""

from __future__ import annotations

import inspect

import dataqueue
from dataqueue import errors

ERRORS = {
    name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.DataQueueError)
}


def test_the_public_surface_is_this() -> None:
    assert set(dataqueue.__all__) - ERRORS == {
        "AsyncClient",
        "ClaimedJob",
        "Client",
        "Enqueued",
        "HandlerRegistry",
        "Job",
        "JobContext",
        "JobFilter",
        "JobSpec",
        "JobStatus",
        "Queue",
        "Range",
        "Reject",
        "Retention",
        "Retry",
        "SyncQueue",
        "TagMode",
        "handler",
        "on_shutdown",
        "on_startup",
    }


def test_every_error_is_part_of_it() -> None:
    assert set(dataqueue.__all__) >= ERRORS


def test_every_name_is_there_once_and_in_order() -> None:
    assert dataqueue.__all__ == sorted(set(dataqueue.__all__))
    assert all(hasattr(dataqueue, name) for name in dataqueue.__all__)
