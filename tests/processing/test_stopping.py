"""A worker that is told to stop finishes what it can, gives back the rest, and is gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from dataqueue import HandlerRegistry, JobContext, JobStatus
from dataqueue.domain.events import EventName
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.port import Storage
from tests.processing.a_worker import LONG, Meddled, a_worker, enqueue, job_that
from tests.storage.given import NAMESPACE, told
from tests.workers.processes import until

Open = Callable[[], Storage]
WITHIN = 10.0


async def test_running_jobs_may_finish_and_no_other_is_started(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    @registry.handler("mail")
    async def send() -> str:
        started.set()
        await finish.wait()
        return "done"

    [running_job] = await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another, poll_seconds=0.01) as running:
        await asyncio.wait_for(started.wait(), WITHIN)
        running.stop.set()
        await until(lambda: running.worker.claimer.stopped, "it stops")
        [late] = await enqueue(live_storage, "mail")
        assert not running.running.done()
        finish.set()
        await asyncio.wait_for(running.running, WITHIN)
    jobs = live_storage.jobs(NAMESPACE)
    assert [(await jobs.get(job_id)).status for job_id in (running_job, late)] == [
        JobStatus.COMPLETED,
        JobStatus.PENDING,
    ]


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize("by", ["time", "hurry"])
async def test_what_does_not_finish_is_given_back_with_its_attempt(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open, kind: str, by: str
) -> None:
    started, stopped = threading.Event(), threading.Event()

    async def send_async() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    def send(payload: Any, ctx: JobContext) -> None:
        started.set()
        while not ctx.cancelled:
            stopped.wait(0.01)
        stopped.set()

    registry.handler("mail")(send_async if kind == "async" else send)
    [job_id] = await enqueue(live_storage, "mail")
    drain = 0.1 if by == "time" else LONG
    async with a_worker(live_storage, registry, open_storage=open_another, drain_seconds=drain) as running:
        await until(started.is_set, "the handler runs")
        running.stop.set()
        if by == "hurry":
            running.hurry.set()
        await asyncio.wait_for(running.running, WITHIN)
        assert stopped.is_set()
    job = await live_storage.jobs(NAMESPACE).get(job_id)
    assert (job.status, job.attempts, job.crashes) == (JobStatus.PENDING, 0, 0)
    assert await told(live_storage, job_id) == [EventName.ADDED, EventName.PROCESSING, EventName.RELEASED]


async def test_a_handler_that_ignores_everything_does_not_keep_the_worker(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started, finish = threading.Event(), threading.Event()
    runs_in: list[threading.Thread] = []

    @registry.handler("mail")
    def send() -> None:
        runs_in.append(threading.current_thread())
        started.set()
        finish.wait(60)

    [job_id] = await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another, drain_seconds=0) as running:
        await until(started.is_set, "the handler runs")
        running.stop.set()
        await asyncio.wait_for(running.running, WITHIN)
        assert running.worker.left_behind == 1
    assert (await live_storage.jobs(NAMESPACE).get(job_id)).status is JobStatus.PENDING
    assert [thread.daemon for thread in runs_in] == [True]
    finish.set()


async def test_jobs_of_a_claim_under_way_are_given_back(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    asked, answer, ran = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        asked.set()
        await answer.wait()

    @registry.handler("mail")
    async def send() -> None:
        ran.set()

    [job_id] = await enqueue(live_storage, "mail")
    storage = Meddled(live_storage, {"claim": slowly})
    async with a_worker(storage, registry, open_storage=open_another) as running:
        await asyncio.wait_for(asked.wait(), WITHIN)
        running.stop.set()
        await until(lambda: running.worker.claimer.stopped, "it stops")
        answer.set()
        await asyncio.wait_for(running.running, WITHIN)
    job = await job_that(live_storage, job_id, lambda job: job.status is JobStatus.PENDING, "it is given back")
    assert (job.attempts, ran.is_set()) == (0, False)


async def test_a_hurry_during_a_claim_gives_back_what_it_took(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    taken, answer, ran = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def on_its_way() -> None:
        taken.set()
        await answer.wait()

    @registry.handler("mail")
    async def send() -> None:
        ran.set()

    job_ids = await enqueue(live_storage, "mail", 5)
    storage = Meddled(live_storage, after={"claim": on_its_way})
    async with a_worker(storage, registry, open_storage=open_another) as running:
        await asyncio.wait_for(taken.wait(), WITHIN)
        running.hurry.set()
        await until(lambda: running.worker.claimer.stopped, "it stops")
        answer.set()
        await asyncio.wait_for(running.running, WITHIN)
    jobs = [await live_storage.jobs(NAMESPACE).get(job_id) for job_id in job_ids]
    assert [(job.status, job.attempts, job.crashes) for job in jobs] == [(JobStatus.PENDING, 0, 0)] * 5
    assert not ran.is_set()


async def test_the_drain_time_is_also_for_reports(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataqueue.processing.worker._LAST_WRITES", 0)
    back = asyncio.Event()

    async def gone_for_a_while() -> None:
        if not back.is_set():
            raise StorageUnavailable("gone")

    @registry.handler("mail")
    async def send() -> None: ...

    [job_id] = await enqueue(live_storage, "mail")
    storage = Meddled(live_storage, {"complete": gone_for_a_while})
    async with a_worker(storage, registry, open_storage=open_another) as running:
        await until(lambda: storage.calls["complete"], "a report is tried")
        running.stop.set()
        await until(lambda: storage.calls["complete"] >= 3, "it is tried again")
        assert not running.running.done()
        back.set()
        await asyncio.wait_for(running.running, WITHIN)
    assert (await live_storage.jobs(NAMESPACE).get(job_id)).status is JobStatus.COMPLETED


async def test_leases_are_kept_while_draining(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    @registry.handler("mail")
    async def send() -> None:
        started.set()
        await finish.wait()

    await enqueue(live_storage, "mail")
    aside = Meddled(open_another())
    async with a_worker(live_storage, registry, open_storage=lambda: aside, lease_seconds=3) as running:
        await asyncio.wait_for(started.wait(), WITHIN)
        running.stop.set()
        await until(lambda: running.worker.claimer.stopped, "it stops")
        before = aside.calls["heartbeat"]
        await until(lambda: aside.calls["heartbeat"] > before, "it beats")
        finish.set()
        await asyncio.wait_for(running.running, WITHIN)


async def test_hooks_run_around_all_jobs(live_storage: Storage, registry: HandlerRegistry, open_another: Open) -> None:
    said: list[str] = []
    registry.on_startup(lambda: said.append("up"))
    registry.on_shutdown(lambda: said.append("down"))

    @registry.on_shutdown
    async def broken() -> None:
        said.append("broken")
        raise OSError("no")

    @registry.handler("mail")
    async def send() -> None:
        said.append("job")

    await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another) as running:
        await until(lambda: "job" in said, "the job was done")
        running.stop.set()
        await asyncio.wait_for(running.running, WITHIN)
    assert said == ["up", "job", "broken", "down"]


async def test_a_start_up_hook_that_fails_keeps_the_worker_from_starting(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    registry.handler("mail")(lambda: None)

    @registry.on_startup
    async def broken() -> None:
        raise OSError("no mail server")

    [job_id] = await enqueue(live_storage, "mail")
    with pytest.raises(OSError, match="no mail server"):
        async with a_worker(live_storage, registry, open_storage=open_another) as running:
            assert not running.worker.started.is_set()
    assert (await live_storage.jobs(NAMESPACE).get(job_id)).status is JobStatus.PENDING


async def test_a_worker_whose_heart_stops_gives_everything_back_and_says_so(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started = asyncio.Event()

    @registry.handler("mail")
    async def send() -> None:
        started.set()
        await asyncio.sleep(60)

    def broken() -> Storage:
        assert asyncio.run_coroutine_threadsafe(started.wait(), loop).result(WITHIN)
        raise OSError("out of files")

    loop = asyncio.get_running_loop()
    [job_id] = await enqueue(live_storage, "mail")
    with pytest.raises(RuntimeError, match="keeps the leases died"):
        async with a_worker(live_storage, registry, open_storage=broken) as running:
            await asyncio.wait({running.running}, timeout=WITHIN)
    job = await live_storage.jobs(NAMESPACE).get(job_id)
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)
