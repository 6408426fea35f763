"""The queue for programs without an event loop."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus
from dataqueue.errors import DataQueueError, Invalid, NotFound
from dataqueue.ids import new_id
from dataqueue.job_spec import JobSpec
from dataqueue.queue import Queue
from dataqueue.sync import SyncQueue


def double(payload: int) -> int:
    return payload * 2


def test_every_call_of_the_queue_is_there_and_waits_for_its_answer(database_url: str) -> None:
    with SyncQueue(database_url) as queue:
        first = queue.add_job("double", 21, tags=["a"])
        second, third = queue.add_jobs([JobSpec("double", 1), JobSpec("mail")])
        assert queue.get_job(first.id).status is JobStatus.PENDING
        assert [job.id for job in queue.get_jobs(limit=2).jobs] == [third.id, second.id]
        assert [job.id for job in queue.get_jobs_by_tags(["a"])] == [first.id]
        assert [event.event for event in queue.get_job_events(first.id)] == ["job:added"]
        assert queue.edit_job(second.id, payload=4).payload == "4"
        assert queue.edit_all_pending_jobs(JobFilter(job_types=("mail",)), priority=1).changed == 1
        assert queue.process_batch({"double": double}) == 2
        assert [queue.get_job(id).output for id in (first.id, second.id)] == ["42", "8"]
        assert queue.cancel_all_upcoming_jobs().changed == 1
        assert queue.retry_job(third.id).status is JobStatus.PENDING
        assert queue.cancel_job(third.id).status is JobStatus.CANCELLED
        queue.delete_job(third.id)
        with pytest.raises(NotFound):
            queue.get_job(third.id)
        assert (queue.reclaim_stuck_jobs(), queue.cleanup_old_jobs(), queue.cleanup_old_job_events(3650)) == (0, 0, 0)
        with pytest.raises(Invalid):
            queue.add_job("no name")


def test_its_methods_are_those_of_the_queue() -> None:
    def verbs(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")}

    only_async = {"open", "create_processor", "create_supervisor", "add_jobs_within"}
    assert verbs(SyncQueue) == verbs(Queue) - only_async | {"process_batch"}


def test_any_thread_may_call_it_at_the_same_time(database_url: str) -> None:
    with SyncQueue(database_url) as queue, ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: queue.add_job("mail", n), range(100)))
        assert len({enqueued.id for enqueued in added}) == 100
        assert len(queue.get_jobs(limit=1000).jobs) == 100


def test_listeners_hear_of_it(database_url: str) -> None:
    heard, told = threading.Event(), []

    def hear(event: Any) -> None:
        told.append(event)
        heard.set()

    with SyncQueue(database_url) as queue:
        queue.on("job:added", hear)
        job_id = queue.add_job("mail").id
        assert heard.wait(10)
        queue.off("job:added", hear)
        queue.remove_all_listeners()
    assert [event.job_id for event in told] == [job_id]


def test_once_closed_it_says_so_and_closing_again_is_nothing(database_url: str) -> None:
    queue = SyncQueue(database_url)
    queue.add_job("mail")
    queue.close()
    queue.close()
    with pytest.raises(DataQueueError, match="closed"):
        queue.add_job("mail")


def test_nothing_is_started_before_the_first_call() -> None:
    threads = threading.active_count()
    SyncQueue("postgresql://nobody@127.0.0.1:1/nowhere").close()
    assert threading.active_count() == threads


def _add_in_a_child(queue: SyncQueue, job_id: UUID) -> None:
    queue.add_job("mail", id=job_id)
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_after_a_fork_the_child_opens_anew_and_the_parent_goes_on(database_url: str) -> None:
    with SyncQueue(database_url) as queue:
        queue.add_job("mail")
        job_id = new_id()
        child = multiprocessing.get_context("fork").Process(target=_add_in_a_child, args=(queue, job_id))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert queue.get_job(job_id).status is JobStatus.PENDING
