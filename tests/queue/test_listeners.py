"""Listeners: told in order, apart from the queue and from each other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dataqueue.errors import Invalid
from dataqueue.ids import new_id
from dataqueue.listeners import Listeners
from dataqueue.queue import Queue
from dataqueue.queue_events import JobAdded, JobCancelled, JobEdited, JobRetried, QueueError
from tests.storage.given import eventually


def added(name: str = "mail") -> JobAdded:
    return JobAdded(job_id=new_id(), job_type=name)


async def _when(condition: bool) -> bool | None:
    return True if condition else None


async def test_what_the_queue_does_is_told_once_it_is_so(queue: Queue) -> None:
    told: list[Any] = []

    async def hear(event: Any) -> None:
        assert (await queue.get_job(event.job_id)) is not None
        told.append(event)

    for name in ("job:added", "job:edited", "job:cancelled", "job:retried"):
        queue.on(name, hear)
    job_id = (await queue.add_job("mail", idempotency_key="k")).id
    await queue.add_job("mail", idempotency_key="k")
    await queue.edit_job(job_id, priority=5)
    await queue.cancel_job(job_id)
    await queue.retry_job(job_id)
    await eventually("all is told", lambda: _when(len(told) == 4))
    assert {type(event): event.job_id for event in told} == dict.fromkeys(
        (JobAdded, JobEdited, JobCancelled, JobRetried), job_id
    )
    assert next(event for event in told if isinstance(event, JobEdited)).changes == {"priority": 5}


async def test_a_listener_hears_in_order_and_until_it_is_taken_off() -> None:
    listeners, heard, seen = Listeners(), [], threading.Event()
    told: list[str] = []

    async def hear(event: JobAdded) -> None:
        await asyncio.sleep(0)
        told.append(event.job_type)

    def hear_in_a_thread(event: JobAdded) -> None:
        heard.append(event.job_type)
        if len(heard) == 50:
            seen.set()

    listeners.add("job:added", hear)
    listeners.add("job:added", hear_in_a_thread)
    names = [f"type-{n}" for n in range(50)]
    for name in names:
        listeners.tell(added(name))
    assert await asyncio.to_thread(seen.wait, 10)
    await eventually("all are told", lambda: _when(len(told) == 50))
    assert told == heard == names
    listeners.remove("job:added", hear)
    listeners.remove("job:added", hear)
    listeners.remove_all()
    assert not listeners.hears("job:added")
    listeners.tell(added())
    assert len(told) == 50


async def test_once_is_once() -> None:
    listeners = Listeners()
    told: list[Any] = []

    async def hear(event: Any) -> None:
        told.append(event)

    listeners.add("job:added", hear, once=True)
    first = added()
    listeners.tell(first)
    listeners.tell(added())
    await eventually("it is told", lambda: _when(bool(told)))
    assert told == [first]
    assert not listeners.hears("job:added")


async def test_a_listener_that_raises_or_hangs_harms_nobody_and_the_error_is_told() -> None:
    listeners, hold = Listeners(), threading.Event()
    told: list[Any] = []
    errors: list[QueueError] = []

    async def raise_it(event: Any) -> None:
        raise RuntimeError("not my day")

    async def hang(event: Any) -> None:
        await asyncio.Event().wait()

    def block(event: Any) -> None:
        hold.wait()

    async def hear(event: Any) -> None:
        told.append(event)

    async def hear_error(event: QueueError) -> None:
        errors.append(event)
        raise RuntimeError("nor mine")

    for listener in (raise_it, hang, block, hear):
        listeners.add("job:added", listener)
    listeners.add("error", hear_error)
    for _ in range(3):
        listeners.tell(added())
    await eventually("the others are told", lambda: _when(len(told) == 3 and len(errors) == 3))
    assert {str(error.error) for error in errors} == {"not my day"}
    assert errors[0].source == "listener of job:added"
    hold.set()


async def test_a_listener_that_falls_far_behind_misses_events_and_that_is_told_once() -> None:
    listeners = Listeners()
    errors: list[QueueError] = []

    async def hang(event: Any) -> None:
        await asyncio.Event().wait()

    async def hear_error(event: QueueError) -> None:
        errors.append(event)

    listeners.add("job:added", hang)
    listeners.add("queue:error", hear_error)
    for _ in range(1100):
        listeners.tell(added())
    await eventually("it is told", lambda: _when(bool(errors)))
    assert len(errors) == 1
    assert "behind" in str(errors[0].error)


def test_an_event_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Invalid, match="job:done"):
        Listeners().add("job:done", print)
    Listeners().add("job:progress", print)
