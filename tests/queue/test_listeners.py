"""Listeners: told in order, apart from the queue and from each other."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from dataqueue import queue_events
from dataqueue.errors import Invalid
from dataqueue.ids import new_id
from dataqueue.listeners import NAMES, Listeners
from dataqueue.queue import Queue
from dataqueue.queue_events import ErrorEvent, JobAdded, JobCancelled, JobEdited, JobRetried
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
    errors: list[ErrorEvent] = []

    async def raise_it(event: Any) -> None:
        raise RuntimeError("not my day")

    async def hang(event: Any) -> None:
        await asyncio.Event().wait()

    def block(event: Any) -> None:
        hold.wait()

    async def hear(event: Any) -> None:
        told.append(event)

    async def hear_error(event: ErrorEvent) -> None:
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
    errors: list[ErrorEvent] = []

    async def hang(event: Any) -> None:
        await asyncio.Event().wait()

    async def hear_error(event: ErrorEvent) -> None:
        errors.append(event)

    listeners.add("job:added", hang)
    listeners.add("queue:error", hear_error)
    for _ in range(1100):
        listeners.tell(added())
    await eventually("it is told", lambda: _when(bool(errors)))
    assert len(errors) == 1
    assert "behind" in str(errors[0].error)


async def test_a_listener_that_caught_up_is_told_again_when_it_falls_behind_again() -> None:
    listeners, go_on = Listeners(), asyncio.Event()
    heard: list[Any] = []
    errors: list[ErrorEvent] = []

    async def dawdle(event: Any) -> None:
        await go_on.wait()
        heard.append(event)

    async def hear_error(event: ErrorEvent) -> None:
        errors.append(event)

    listeners.add("job:added", dawdle)
    listeners.add("queue:error", hear_error)
    for times in (1, 2):
        go_on.clear()
        for _ in range(1100):
            listeners.tell(added())
        go_on.set()
        await listeners.settle(within=10)
        assert len(errors) == times
        # One is in the listener's hands while a thousand wait.
        assert 1000 * times <= len(heard) <= 1001 * times


class Ear:
    """Objects that are called, one of them asynchronously."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def __call__(self, event: Any) -> None:
        await asyncio.sleep(0)
        self.heard.append(event)

    async def twice(self, _: int, event: Any) -> None:
        self.heard.append(event)


async def test_whatever_can_be_called_listens() -> None:
    listeners, ear = Listeners(), Ear()
    plain: list[Any] = []
    listeners.add("job:added", ear)
    listeners.add("job:added", functools.partial(ear.twice, 2))
    listeners.add("job:added", plain.append)
    event = added()
    listeners.tell(event)
    await listeners.settle(within=10)
    assert (ear.heard, plain) == ([event] * 2, [event])


@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), ValueError()], ids=repr)
async def test_whatever_a_listener_raises_it_hears_the_next_event(error: BaseException, kind: str) -> None:
    listeners = Listeners()
    heard: list[Any] = []
    errors: list[ErrorEvent] = []

    def fail(event: Any) -> None:
        heard.append(event)
        raise error

    async def fail_asynchronously(event: Any) -> None:
        fail(event)

    listeners.add("job:added", fail_asynchronously if kind == "async def" else fail)
    listeners.add("queue:error", errors.append)
    for _ in range(2):
        listeners.tell(added())
        await listeners.settle(within=10)
    assert (len(heard), [told.error for told in errors]) == (2, [error, error])


async def test_a_def_that_hands_back_a_coroutine_is_told_what_to_do() -> None:
    listeners = Listeners()
    errors: list[ErrorEvent] = []
    listeners.add("job:added", lambda event: asyncio.sleep(0, event))
    listeners.add("error", errors.append)
    listeners.tell(added())
    await listeners.settle(within=10)
    assert "make it `async def`" in str(errors[0].error)


@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_what_waits_for_a_listener_is_not_heard_once_it_is_taken_off(kind: str) -> None:
    listeners = Listeners()
    begun, go_on = threading.Event(), threading.Event()
    heard: list[Any] = []

    def hold(event: Any) -> None:
        heard.append(event)
        begun.set()
        assert go_on.wait(10)

    async def hold_asynchronously(event: Any) -> None:
        heard.append(event)
        begun.set()
        await asyncio.to_thread(go_on.wait, 10)

    listener = hold_asynchronously if kind == "async def" else hold
    listeners.add("job:added", listener)
    for _ in range(3):
        listeners.tell(added())
    assert await asyncio.to_thread(begun.wait, 10)
    listeners.remove("job:added", listener)
    go_on.set()
    await listeners.settle(within=10)
    assert len(heard) == 1


async def test_of_a_listener_that_was_added_twice_one_is_taken_off() -> None:
    listeners = Listeners()
    heard: list[Any] = []
    listeners.add("job:added", heard.append)
    listeners.add("job:added", heard.append)
    listeners.remove("job:added", heard.append)
    listeners.tell(added())
    await listeners.settle(within=10)
    assert len(heard) == 1
    listeners.remove("job:added", print)


async def test_taking_off_the_listeners_of_one_event_leaves_the_others() -> None:
    listeners = Listeners()
    listeners.add("job:added", print)
    listeners.add("error", print)
    listeners.remove_all("error")
    assert (listeners.hears("job:added"), listeners.hears("queue:error")) == (True, False)


async def test_closing_ends_what_hangs_and_leaves_no_task() -> None:
    listeners = Listeners()

    async def hang(event: Any) -> None:
        await asyncio.Event().wait()

    listeners.add("job:added", hang)
    listeners.tell(added())
    await listeners.settle(within=0.01)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert len(tasks) == 1
    listeners.close()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_telling_raises_nothing_even_when_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    listeners, ear = Listeners(), Ear()
    listeners.add("job:added", print)
    listeners.add("job:added", ear)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with capture_logs() as lines:
        listeners.tell(added())
    monkeypatch.undo()
    assert [line["event"] for line in lines] == ["listener.not_told"]

    async def heard() -> bool | None:
        return bool(ear.heard) or None

    await eventually("the other is told", heard)


def test_an_event_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Invalid, match="job:done"):
        Listeners().add("job:done", print)
    with pytest.raises(Invalid):
        Listeners().remove("job:released", print)
    Listeners().add("job:progress", print)


def test_the_name_of_each_event_is_one_that_can_be_listened_for() -> None:
    kinds = [kind for kind in vars(queue_events).values() if isinstance(kind, type) and "event" in vars(kind)]
    assert len(kinds) == 10
    assert {vars(kind)["event"] for kind in kinds} < set(NAMES)
