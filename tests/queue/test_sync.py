"""The queue for programs without an event loop."""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus
from dataqueue.errors import DataQueueError, Invalid, NotFound
from dataqueue.ids import new_id
from dataqueue.job_spec import JobSpec
from dataqueue.processors import Processor
from dataqueue.queue import Queue
from dataqueue.queue_events import ErrorEvent
from dataqueue.storage.backend import Backend
from dataqueue.supervising import QueueSupervisor
from dataqueue.sync import SyncProcessor, SyncQueue, SyncSupervisor
from tests.storage.given import FOLDS


def double(payload: int) -> int:
    return payload * 2


def test_every_call_of_the_queue_is_there_and_waits_for_its_answer(storage_url: str, backend: Backend) -> None:
    with SyncQueue(storage_url) as queue:
        first = queue.add_job("double", 21, tags=["a"])
        second, third = queue.add_jobs([JobSpec("double", 1), JobSpec("mail")])
        assert queue.get_job(first.id).status is JobStatus.PENDING
        assert [job.id for job in queue.get_jobs(limit=2).jobs] == [third.id, second.id]
        assert [job.id for job in queue.get_jobs_by_tags(["a"])] == [first.id]
        assert [event.event for event in queue.get_job_events(first.id)] == ["job:added"]
        assert queue.edit_job(second.id, payload=4).payload == "4"
        assert queue.edit_all_pending_jobs(JobFilter(job_types=("mail",)), priority=1).changed == 1
        assert queue.create_processor({"double": double}).start() == 2
        assert [queue.get_job(id).output for id in (first.id, second.id)] == ["42", "8"]
        assert queue.cancel_all_upcoming_jobs().changed == 1
        assert queue.retry_job(third.id).status is JobStatus.PENDING
        assert queue.cancel_job(third.id).status is JobStatus.CANCELLED
        queue.delete_job(third.id)
        with pytest.raises(NotFound):
            queue.get_job(third.id)
        assert (queue.reclaim_stuck_jobs(), queue.cleanup_old_jobs(), queue.cleanup_old_job_events(3650)) == (0, 0, 0)
        assert (queue.create_supervisor().start()["folded_counts"] > 0) is FOLDS[backend]
        with pytest.raises(Invalid):
            queue.add_job("no name")


@pytest.mark.parametrize(
    ("sync", "to", "only_async"),
    [
        (SyncQueue, Queue, {"open", "add_jobs_within"}),
        (SyncProcessor, Processor, set()),
        (SyncSupervisor, QueueSupervisor, set()),
    ],
)
def test_its_methods_are_those_of_its_counterpart(sync: type, to: type, only_async: set[str]) -> None:
    def verbs(of: type) -> dict[str, Any]:
        methods = {name: getattr(of, name) for name in dir(of) if not name.startswith("_")}
        return {
            name: None if isinstance(method, property) else list(inspect.signature(method).parameters.values())
            for name, method in methods.items()
        }

    assert verbs(sync) == {name: taken for name, taken in verbs(to).items() if name not in only_async}


def test_a_processor_goes_on_in_the_background_until_it_is_stopped(storage_url: str) -> None:
    ran = threading.Event()
    with SyncQueue(storage_url) as queue:
        processor = queue.create_processor({"mail": ran.set}, poll_interval=0.1)
        assert not processor.is_running
        processor.start_in_background()
        assert processor.is_running
        queue.add_job("mail")
        assert ran.wait(10)
        processor.stop_and_drain(10)
        assert not processor.is_running
        processor.start_in_background()
        processor.stop()
        assert not processor.is_running
        assert [job.status for job in queue.get_jobs().jobs] == [JobStatus.COMPLETED]


def test_a_processor_that_cannot_be_is_refused_where_it_is_made(storage_url: str) -> None:
    @dataclass
    class Mail:
        to: str

    def send(mail: Mail) -> None: ...

    with SyncQueue(storage_url) as queue:
        with pytest.raises(Invalid, match="batch_size"):
            queue.create_processor({"mail": send}, batch_size=0)
        with pytest.raises(Invalid, match="interval"):
            queue.create_supervisor(interval=0)


def test_closing_ends_what_runs_and_tells_whoever_waits(storage_url: str) -> None:
    begun, told = threading.Event(), []

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    queue = SyncQueue(storage_url)
    job_id = queue.add_job("endless").id
    processor = queue.create_processor({"endless": endless})

    def wait() -> None:
        told.append(processor.start())

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(10)
    queue.close()
    waiting.join(10)
    assert told == [1]
    with SyncQueue(storage_url) as another:
        assert another.get_job(job_id).status is JobStatus.PENDING


def test_a_call_that_nothing_will_answer_any_more_hears_that_it_is_closed(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, told = threading.Event(), []

    async def never(self: Queue, job_id: UUID) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Queue, "get_job", never)
    queue = SyncQueue(storage_url)

    def wait() -> None:
        try:
            queue.get_job(new_id())
        except DataQueueError as error:
            told.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(10)
    queue.close()
    waiting.join(10)
    assert told == ["this SyncQueue is closed"]


def test_what_runs_on_its_own_loop_is_told_that_it_cannot_wait_for_it(storage_url: str) -> None:
    heard, told = threading.Event(), []

    async def wrong(event: Any) -> None:
        queue.get_job(event.job_id)

    def hear(event: ErrorEvent) -> None:
        told.append(str(event.error))
        heard.set()

    with SyncQueue(storage_url) as queue:
        queue.on("job:added", wrong)
        queue.on("queue:error", hear)
        queue.add_job("mail")
        assert heard.wait(10)
    assert "cannot wait for it" in told[0]


def test_a_storage_that_cannot_be_opened_leaves_nothing_behind() -> None:
    threads = threading.active_count()
    queue = SyncQueue("mysql://nobody@127.0.0.1/nowhere")
    with pytest.raises(Invalid, match="no storage for 'mysql'"):
        queue.add_job("mail")
    assert threading.active_count() == threads


def test_any_thread_may_call_it_at_the_same_time(storage_url: str) -> None:
    with SyncQueue(storage_url) as queue, ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: queue.add_job("mail", n), range(100)))
        assert len({enqueued.id for enqueued in added}) == 100
        assert len(queue.get_jobs(limit=1000).jobs) == 100


def test_listeners_hear_of_it(storage_url: str) -> None:
    heard, told = threading.Event(), []

    def hear(event: Any) -> None:
        told.append(event)
        heard.set()

    with SyncQueue(storage_url) as queue:
        queue.on("job:added", hear)
        job_id = queue.add_job("mail").id
        assert heard.wait(10)
        queue.off("job:added", hear)
        queue.remove_all_listeners()
    assert [event.job_id for event in told] == [job_id]


def test_once_closed_it_says_so_and_closing_again_is_nothing(storage_url: str) -> None:
    queue = SyncQueue(storage_url)
    queue.add_job("mail")
    queue.close()
    queue.close()
    with pytest.raises(DataQueueError, match="closed"):
        queue.add_job("mail")


def test_nothing_is_started_before_the_first_call(nowhere: str) -> None:
    threads = threading.active_count()
    SyncQueue(nowhere).close()
    assert threading.active_count() == threads


def _in_a_child(work: Callable[[], object]) -> int | None:
    """Its exit code: 0 when the work was done."""

    def run() -> None:
        work()
        os._exit(0)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(30)
    return child.exitcode


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_after_a_fork_the_child_opens_anew_and_the_parent_goes_on(storage_url: str) -> None:
    heard_in_child = multiprocessing.get_context("fork").Event()
    with SyncQueue(storage_url) as queue:
        queue.add_job("mail")
        queue.on("job:added", lambda _: heard_in_child.set())
        processor = queue.create_processor({"other": double}, poll_interval=0.1)
        processor.start_in_background()
        job_id = new_id()

        def work() -> None:
            assert not processor.is_running
            queue.add_job("mail", id=job_id)
            assert heard_in_child.wait(10)
            assert processor.start() == 0
            queue.close()

        with queue._lock:  # as another thread may hold it at that moment
            assert _in_a_child(work) == 0
        assert processor.is_running
        assert queue.get_job(job_id).status is JobStatus.PENDING


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_an_iteration_does_not_survive_a_fork_and_hangs_nobody(storage_url: str) -> None:
    with SyncQueue(storage_url) as queue:
        queue.add_job("mail")
        gone_on_with, left = queue.events(after="start"), queue.events(after="start")
        assert [next(gone_on_with).event, next(left).event] == ["job:added"] * 2

        def work() -> None:
            left.close()
            with pytest.raises(DataQueueError):
                next(gone_on_with)

        assert queue._loop is not None
        with queue._loop._submitting:  # as another thread may hold it at that moment
            assert _in_a_child(work) == 0
        left.close()
        gone_on_with.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_queue_that_was_closed_before_a_fork_stays_closed(storage_url: str) -> None:
    queue = SyncQueue(storage_url)
    queue.close()

    def work() -> None:
        with pytest.raises(DataQueueError):
            queue.add_job("mail")

    assert _in_a_child(work) == 0
