"""A lease is kept whatever the handler does, and given up before anybody else can have it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from dataqueue import HandlerRegistry, JobContext, JobStatus
from dataqueue.domain.events import EventName
from dataqueue.domain.job import FailureReason, Lease
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.port import Hint, Storage
from tests.processing.a_worker import LONG, Meddled, a_worker, completed, ended, enqueue, job_that
from tests.storage.given import MAX_CRASHES, NAMESPACE, eventually, told
from tests.workers.processes import until

Open = Callable[[], Storage]
SHORTEST = 3.0


async def test_a_handler_that_blocks_the_loop_keeps_its_lease(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    has_blocked = asyncio.Event()

    @registry.handler("rude")
    async def rude() -> None:
        time.sleep(SHORTEST + 1.5)  # noqa: ASYNC251 - that is what is tested
        has_blocked.set()

    job_ids = await enqueue(live_storage, "rude")
    # In a thread, for this loop is the one that gets blocked.
    reclaiming = asyncio.create_task(asyncio.to_thread(_reclaim_in_a_thread, open_another, SHORTEST + 2))
    async with a_worker(live_storage, registry, open_storage=open_another, lease_seconds=SHORTEST):
        # Not by asking until then: what is asked of the storage on a loop that is blocked comes to nothing.
        await asyncio.wait_for(has_blocked.wait(), 30)
        await completed(live_storage, job_ids)
    assert await told(live_storage, job_ids[0]) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]
    await reclaiming


def _reclaim_in_a_thread(open_another: Open, seconds: float) -> None:
    """As the maintenance of any other worker would."""

    async def reclaim() -> None:
        storage, until = open_another(), time.monotonic() + seconds
        while time.monotonic() < until:
            await storage.upkeep.reclaim(limit=100, max_crashes=MAX_CRASHES)
            await asyncio.sleep(0.05)
        await storage.close()

    asyncio.run(reclaim())


async def test_a_worker_that_cannot_renew_stops_by_itself_before_the_lease_ends(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    stopped_after: list[float] = []

    @registry.handler("mail")
    async def send() -> str:
        began = time.monotonic()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped_after.append(time.monotonic() - began)
            return "nobody wants to know"
        return "done"

    silent = Meddled(live_storage, {"heartbeat": _never})
    aside = Meddled(open_another(), {"heartbeat": _never})
    [job_id] = await enqueue(live_storage, "mail")
    async with a_worker(
        silent, registry, open_storage=lambda: aside, lease_seconds=SHORTEST, poll_seconds=LONG
    ) as running:
        await until(lambda: stopped_after, "the handler was told to stop")
        await until(lambda: running.worker.executor.free == 10, "its slot is free")
    assert SHORTEST - 1.5 < stopped_after[0] < SHORTEST
    assert aside.calls["heartbeat"] >= 2, "one that hangs must not be the last"
    assert silent.calls["complete"] + silent.calls["fail"] + silent.calls["release"] == 0
    assert (await live_storage.jobs(NAMESPACE).get(job_id)).status is JobStatus.PROCESSING


async def _never() -> None:
    await asyncio.Event().wait()


async def test_a_job_that_was_taken_away_is_stopped_and_changes_nothing(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    @registry.handler("mail")
    async def send() -> str:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return "done"

    storage = Meddled(live_storage)
    [job_id] = await enqueue(live_storage, "mail")
    async with a_worker(storage, registry, open_storage=open_another, lease_seconds=SHORTEST, poll_seconds=LONG):
        await asyncio.wait_for(started.wait(), 10)
        storage.before["claim"] = _never  # it would be the first to have the job again
        await _taken_away(live_storage, job_id)
        await asyncio.wait_for(stopped.wait(), SHORTEST)
    job = await live_storage.jobs(NAMESPACE).get(job_id)
    assert (job.status, job.crashes) == (JobStatus.PENDING, 1)
    assert storage.calls["complete"] + storage.calls["fail"] + storage.calls["release"] == 0


async def _taken_away(storage: Storage, job_id: UUID) -> None:
    """The lease ends early, and somebody reclaims the job."""

    async def reclaimed() -> bool | None:
        await storage.jobs(NAMESPACE).abandon([Lease(job_id, 1)])
        return True if await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) else None

    await eventually("the job was reclaimed", reclaimed)


async def test_a_cancel_reaches_a_running_handler_by_its_hint(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    @registry.handler("mail")
    async def send() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    storage = Meddled(live_storage)
    [job_id] = await enqueue(live_storage, "mail")
    # A heartbeat of its own accord would come in a third of the lease: too late for this test.
    async with a_worker(storage, registry, open_storage=open_another, lease_seconds=300):
        await asyncio.wait_for(started.wait(), 10)
        await live_storage.jobs(NAMESPACE).cancel([job_id])
        await _hint_until(live_storage, stopped.is_set)
        job = await ended(live_storage, job_id)
    assert (job.status, job.attempts) == (JobStatus.CANCELLED, 1)
    assert storage.calls["fail"] == 0


async def test_a_cancel_shows_in_the_context_of_a_handler_in_a_thread_even_while_the_loop_is_blocked(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    saw: list[bool] = []

    @registry.handler("mail")
    def send(payload: Any, ctx: JobContext) -> None:
        give_up = time.monotonic() + 20
        while not ctx.cancelled and time.monotonic() < give_up:
            time.sleep(0.01)
        saw.append(ctx.cancelled)

    [job_id] = await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another, lease_seconds=300):
        await job_that(live_storage, job_id, lambda job: job.status is JobStatus.PROCESSING, "it runs")
        await live_storage.jobs(NAMESPACE).cancel([job_id])
        await _hint_until(live_storage, lambda: saw)
    assert saw == [True]


async def _hint_until(storage: Storage, seen: Callable[[], object]) -> None:
    async def look() -> bool | None:
        await storage.notifier.publish(Hint("cancel", NAMESPACE))
        return True if seen() else None

    await eventually("the cancel has arrived", look, seconds=5)


async def test_a_timeout_fails_the_attempt_and_is_tried_again(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None:
        await asyncio.sleep(60)

    [job_id] = await enqueue(live_storage, "mail", timeout_ms=50)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await job_that(live_storage, job_id, lambda job: job.last_failed_at, "it has timed out")
    assert (job.status, job.failure_reason) == (JobStatus.PENDING, FailureReason.TIMEOUT)
    assert json.loads(job.error_history)[0]["message"] == "timed out after 50 ms"


async def test_heartbeats_sit_out_an_outage(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    finish, failures = asyncio.Event(), 0

    async def fail_twice() -> None:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise StorageUnavailable("gone")

    @registry.handler("mail")
    async def send() -> None:
        await finish.wait()

    aside = Meddled(open_another(), {"heartbeat": fail_twice})
    job_ids = await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=lambda: aside, lease_seconds=SHORTEST):
        began = time.monotonic()
        await until(lambda: time.monotonic() > began + SHORTEST + 0.5, "the lease would have ended")
        await live_storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
        finish.set()
        await completed(live_storage, job_ids)
    assert failures > 3
    assert (await live_storage.jobs(NAMESPACE).get(job_ids[0])).crashes == 0
