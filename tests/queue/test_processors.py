"""Workers inside a program: one batch at a time, or in the background."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from dataqueue.context import JobContext
from dataqueue.domain.job import JobStatus
from dataqueue.errors import Invalid, StorageUnavailable
from dataqueue.handlers import HandlerRegistry
from dataqueue.job_spec import JobSpec
from dataqueue.queue import Queue
from dataqueue.queue_events import ErrorEvent, JobCancelled, JobCompleted, JobFailed, JobProcessing
from tests.storage.given import eventually


async def double(payload: int, ctx: JobContext) -> int:
    return payload * 2


def fail() -> None:
    raise RuntimeError("it broke")


async def statuses(queue: Queue) -> list[str]:
    return [job.status for job in (await queue.get_jobs()).jobs[::-1]]


async def until(queue: Queue, *wanted: str) -> None:
    async def look() -> bool | None:
        return True if await statuses(queue) == list(wanted) else None

    await eventually(f"jobs are {wanted}", look)


async def test_a_start_runs_one_batch_and_says_how_many(queue: Queue) -> None:
    await queue.add_jobs(JobSpec("double", n) for n in range(5))
    processor = queue.create_processor({"double": double}, batch_size=3)
    assert await processor.start() == 3
    assert await statuses(queue) == ["completed"] * 3 + ["pending"] * 2
    assert [job.output for job in (await queue.get_jobs()).jobs[::-1][:3]] == ["0", "2", "4"]
    assert await processor.start() == 2
    assert await processor.start() == 0
    assert not processor.is_running


async def test_a_batch_ends_when_every_outcome_is_written_also_the_failures(queue: Queue) -> None:
    good = (await queue.add_job("double", 1)).id
    retried, failed = (await queue.add_job("fail")).id, (await queue.add_job("fail", max_attempts=1)).id
    assert await queue.create_processor({"double": double, "fail": fail}).start() == 3
    assert [(await queue.get_job(id)).status for id in (good, retried, failed)] == ["completed", "pending", "failed"]


async def test_only_the_chosen_types_are_served(queue: Queue) -> None:
    await queue.add_jobs([JobSpec("double", 1), JobSpec("fail")])
    processor = queue.create_processor({"double": double, "fail": fail}, job_types=["double"])
    assert await processor.start() == 1
    assert await statuses(queue) == ["completed", "pending"]


async def test_a_processor_in_the_background_takes_jobs_as_they_come(queue: Queue) -> None:
    registry = HandlerRegistry()
    registry.handler("double")(double)
    processor = queue.create_processor(registry, worker_id="ann", poll_interval=timedelta(seconds=0.2))
    processor.start_in_background()
    processor.start_in_background()
    assert processor.is_running
    await queue.add_job("double", 1)
    await until(queue, "completed")
    await queue.add_job("double", 2)
    await until(queue, "completed", "completed")
    [job, _] = (await queue.get_jobs()).jobs
    assert '"ann"' in (await queue.get_job_events(job.id))[1].data
    await processor.stop_and_drain(5)
    assert not processor.is_running
    await queue.add_job("double", 3)
    assert await queue.create_processor({"double": double}).start() == 1


async def test_what_becomes_due_is_run_with_nobody_else_to_look(queue: Queue) -> None:
    processor = queue.create_processor({"double": double}, poll_interval=0.05)
    processor.start_in_background()
    job_id = (await queue.add_job("double", 1, delay=0.1)).id
    assert (await queue.get_job(job_id)).pending_reason == "scheduled"
    await until(queue, "completed")
    await processor.stop()


async def test_draining_lets_running_jobs_finish_and_stopping_gives_them_back(queue: Queue) -> None:
    running, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        running.set()
        await go_on.wait()
        return "done"

    processor = queue.create_processor({"slow": slow}, poll_interval=0.1)
    processor.start_in_background()
    job_id = (await queue.add_job("slow")).id
    await running.wait()
    running.clear()
    await processor.stop()
    given_back = await queue.get_job(job_id)
    assert (given_back.status, given_back.attempts) == (JobStatus.PENDING, 0)

    processor.start_in_background()
    await running.wait()
    with capture_logs() as lines:
        draining = asyncio.create_task(processor.stop_and_drain(30))
        await eventually("it stops", lambda: _when("worker.stopping" in [line["event"] for line in lines]))
    go_on.set()
    await draining
    assert (await queue.get_job(job_id)).output == '"done"'


async def test_a_drain_that_takes_too_long_gives_back_what_runs(queue: Queue) -> None:
    running = asyncio.Event()

    async def endless() -> None:
        running.set()
        await asyncio.Event().wait()

    processor = queue.create_processor({"endless": endless}, poll_interval=0.1)
    processor.start_in_background()
    job_id = (await queue.add_job("endless")).id
    await running.wait()
    await processor.stop_and_drain(0.05)
    assert (await queue.get_job(job_id)).status is JobStatus.PENDING


async def test_what_a_processor_does_is_told(queue: Queue) -> None:
    told: list[Any] = []

    async def hear(event: Any) -> None:
        told.append(event)

    for name in ("job:processing", "job:completed", "job:failed"):
        queue.on(name, hear)
    good = (await queue.add_job("double", 1)).id
    bad = (await queue.add_job("fail", max_attempts=2, retry_delay=0, retry_backoff=False)).id
    processor = queue.create_processor({"double": double, "fail": fail}, worker_id="ann")
    assert await processor.start() == 2
    assert await processor.start() == 1
    await eventually("all is told", lambda: _when(len(told) == 6))
    started = [event for event in told if isinstance(event, JobProcessing)]
    assert [(event.job_id, event.attempt, event.worker_id) for event in started] == [
        (good, 1, "ann"), (bad, 1, "ann"), (bad, 2, "ann"),
    ]  # fmt: skip
    assert [event.job_id for event in told if isinstance(event, JobCompleted)] == [good]
    failures = [event for event in told if isinstance(event, JobFailed)]
    assert [(event.job_id, event.message, event.will_retry) for event in failures] == [
        (bad, "it broke", True), (bad, "it broke", False),
    ]  # fmt: skip


async def test_a_running_job_that_is_cancelled_is_told(queue: Queue) -> None:
    told: list[Any] = []
    running = asyncio.Event()

    async def endless() -> None:
        running.set()
        await asyncio.Event().wait()

    async def hear(event: Any) -> None:
        told.append(event)

    queue.on("job:cancelled", hear)
    processor = queue.create_processor({"endless": endless}, poll_interval=0.1)
    processor.start_in_background()
    job_id = (await queue.add_job("endless")).id
    await running.wait()
    assert (await queue.cancel_job(job_id)).cancel_requested
    await eventually("the cancel is told", lambda: _when(bool(told)))
    assert told == [JobCancelled(job_id=job_id, job_type="endless")]
    assert (await queue.get_job(job_id)).status is JobStatus.CANCELLED
    await processor.stop()


async def test_a_batch_that_cannot_be_asked_for_raises_and_tells_both_ways(nowhere: str) -> None:
    errors: list[BaseException] = []
    told: list[Any] = []

    async def hear(event: Any) -> None:
        told.append(event)

    async with Queue(nowhere) as queue:
        queue.on("error", hear)
        with pytest.raises(StorageUnavailable):
            await queue.create_processor({"double": double}, on_error=errors.append).start()
        await eventually("it is told", lambda: _when(bool(told)))
        assert isinstance(errors[0], StorageUnavailable)
        assert isinstance(told[0], ErrorEvent)
        assert told[0].error is errors[0]


def test_a_handler_that_cannot_be_called_with_a_job_is_refused_when_it_is_named(nowhere: str) -> None:
    queue = Queue(nowhere)
    with pytest.raises(Invalid):
        queue.create_processor({"mail": lambda a, b, c: None})
    with pytest.raises(Invalid):
        queue.create_processor({"no name": double})


async def _when(condition: bool) -> bool | None:
    return True if condition else None
