"""The storage comes and goes; the worker stays, and every job ends once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dataqueue import HandlerRegistry, JobContext, JobStatus
from dataqueue.domain.events import EventName
from dataqueue.domain.job import Job
from dataqueue.errors import StorageNotReady, StorageUnavailable
from dataqueue.storage.port import Storage
from tests.processing.a_worker import Meddled, a_worker, completed, enqueue, job_that
from tests.storage.given import NAMESPACE, told
from tests.workers.processes import until

Open = Callable[[], Storage]


async def test_a_storm_of_failures_costs_no_job_and_doubles_none(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    ran: Counter[UUID] = Counter()
    weather = random.Random(7)

    async def storm() -> None:
        if weather.random() < 0.4:
            raise StorageUnavailable("the connection broke")

    @registry.handler("mail")
    async def send(payload: Any, ctx: JobContext) -> None:
        ran[ctx.job.id] += 1

    job_ids = await enqueue(live_storage, "mail", 300)
    stormy = Meddled(live_storage, {"claim": storm, "complete": storm})
    aside = Meddled(open_another(), {"heartbeat": storm})
    async with a_worker(stormy, registry, open_storage=lambda: aside, concurrency=100) as running:
        await completed(live_storage, job_ids)
        assert running.worker.reporter.lost == 0
    assert set(ran.values()) == {1}
    for job_id in job_ids[:10]:
        assert await told(live_storage, job_id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


async def test_a_report_whose_answer_was_lost_is_not_applied_twice(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    lost: list[int] = []

    class Forgetful(Meddled):
        def jobs(self, namespace: str) -> Any:
            jobs = super().jobs(namespace)
            complete = jobs.complete

            async def complete_and_forget(*args: Any, **kwargs: Any) -> Any:
                answer = await complete(*args, **kwargs)
                if not lost:
                    lost.append(1)
                    raise StorageUnavailable("the reply was lost", outcome_unknown=True)
                return answer

            jobs.complete = complete_and_forget
            return jobs

    @registry.handler("mail")
    async def send() -> str:
        return "done"

    [job_id] = await enqueue(live_storage, "mail")
    forgetful = Forgetful(live_storage)
    async with a_worker(forgetful, registry, open_storage=open_another) as running:
        await until(lambda: forgetful.calls["complete"] == 2, "the report was repeated")
        await until(lambda: running.worker.reporter.waiting == 0, "nothing waits to be written")
        assert running.worker.reporter.lost == 0
    assert (await told(live_storage, job_id)).count(EventName.COMPLETED) == 1


async def test_running_handlers_are_not_disturbed_by_an_outage(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    gone, started, finish = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def perhaps_gone() -> None:
        if gone.is_set():
            raise StorageUnavailable("gone")

    @registry.handler("mail")
    async def send() -> str:
        started.set()
        await finish.wait()
        return "done"

    job_ids = await enqueue(live_storage, "mail")
    storage = Meddled(live_storage, {"claim": perhaps_gone, "complete": perhaps_gone})
    async with a_worker(storage, registry, open_storage=open_another, poll_seconds=0.05):
        await asyncio.wait_for(started.wait(), 10)
        gone.set()
        finish.set()
        await until(lambda: storage.calls["complete"] >= 2, "the report is tried again and again")
        assert (await live_storage.jobs(NAMESPACE).get(job_ids[0])).status is JobStatus.PROCESSING
        gone.clear()
        await completed(live_storage, job_ids)


async def test_a_worker_waits_for_a_storage_that_is_not_ready(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    refusals = 3

    async def not_ready() -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StorageNotReady("run `dataqueue migrate`")

    @registry.handler("mail")
    async def send() -> None: ...

    job_ids = await enqueue(live_storage, "mail")
    async with a_worker(Meddled(live_storage, {"claim": not_ready}), registry, open_storage=open_another):
        await completed(live_storage, job_ids)
    assert refusals == 0


async def test_no_more_is_claimed_while_too_much_waits_to_be_reported(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    open_again = asyncio.Event()

    @registry.handler("big")
    async def big() -> str:
        return "x" * 1_000_000

    job_ids = await enqueue(live_storage, "big", 20)
    storage = Meddled(live_storage, {"complete": lambda: _wait(open_again)})
    async with a_worker(storage, registry, open_storage=open_another, concurrency=2, poll_seconds=0.01) as running:
        await until(lambda: running.worker.reporter.waiting > 1000, "reports pile up")
        claimed = storage.calls["claim"]
        await asyncio.sleep(0.2)
        assert storage.calls["claim"] <= claimed + 1
        assert running.worker.reporter.waiting < 2000
        open_again.set()
        await completed(live_storage, job_ids)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_finished_job_that_waits_out_its_lease_is_recorded_once_when_nobody_took_it(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    down, finish = asyncio.Event(), asyncio.Event()
    ran: Counter[UUID] = Counter()

    async def outage() -> None:
        if down.is_set():
            raise StorageUnavailable("gone", outcome_unknown=True)

    async def beat() -> None:
        if finish.is_set():
            # For longer than the rest: a renewal must not come to the aid of the reports.
            raise StorageUnavailable("gone")

    @registry.handler("pay")
    async def pay(payload: Any, ctx: JobContext) -> str:
        await finish.wait()
        ran[ctx.job.id] += 1
        return "paid"

    job_ids = await enqueue(live_storage, "pay", 10)
    verbs = ["claim", "complete", "fail", "release", "recall"]
    storage, aside = Meddled(live_storage, dict.fromkeys(verbs, outage)), Meddled(open_another(), {"heartbeat": beat})
    async with a_worker(storage, registry, open_storage=lambda: aside, lease_seconds=3, concurrency=10) as running:
        await until(lambda: running.worker.executor.free == 0, "all run")
        down.set()
        finish.set()
        for job_id in job_ids:
            await job_that(live_storage, job_id, _lease_is_over, "its lease is over")
        down.clear()
        await completed(live_storage, job_ids)
        assert running.worker.reporter.lost == 0
    assert ran == dict.fromkeys(job_ids, 1)
    for job_id in job_ids:
        assert await told(live_storage, job_id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


def _lease_is_over(job: Job) -> bool:
    return job.lease_expires_at is not None and job.lease_expires_at < datetime.now(UTC)
