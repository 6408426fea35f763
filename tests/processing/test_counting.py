"""What a worker counts while it works: each thing when it happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from dataqueue import HandlerRegistry, Reject, Retry
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Lease
from dataqueue.errors import StorageUnavailable
from dataqueue.maintenance import Reclaimer
from dataqueue.metrics.families import exposition
from dataqueue.metrics.jobs_run import JobsRun
from dataqueue.outcome import Crashed, Outcome
from dataqueue.storage.port import Storage
from dataqueue.work import Work
from tests.processing.a_worker import LONG, Meddled, a_worker, completed, ended, enqueue, job_that
from tests.storage.given import MAX_CRASHES, NAMESPACE, eventually
from tests.workers.processes import until

Open = Callable[[], Storage]
LEASE: Final = timedelta(seconds=30)


class Counted:
    """What a worker's observer has counted, by name and labels."""

    def __init__(self) -> None:
        self.jobs = JobsRun()

    def __call__(self, name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(exposition([self.jobs.families]).decode()):
            for sample in family.samples:
                if sample.name == f"dataqueue_{name}" and sample.labels == labels:
                    return float(sample.value)
        return 0.0


async def test_jobs_that_are_done_are_counted_with_their_waits_and_runs(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    @registry.handler("thread")
    def send_in_thread() -> None: ...

    counted = Counted()
    job_ids = [*await enqueue(live_storage, "mail", 3), *await enqueue(live_storage, "thread", 2)]
    async with a_worker(live_storage, registry, open_storage=open_another, observer=counted.jobs):
        await completed(live_storage, job_ids)
    for job_type, count in (("mail", 3), ("thread", 2)):
        assert counted("worker_jobs_started_total", job_type=job_type) == count
        assert counted("worker_jobs_completed_total", job_type=job_type) == count
        assert counted("job_run_seconds_count", job_type=job_type) == count
        assert counted("job_wait_seconds_count", job_type=job_type) == count
        assert 0 < counted("job_run_seconds_sum", job_type=job_type) < 1
        assert 0 < counted("job_wait_seconds_sum", job_type=job_type) < 60


async def test_failures_and_retries_are_counted_with_their_reason(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None:
        raise Reject("never")

    @registry.handler("later")
    async def later() -> None:
        raise Retry(after=3600)

    @registry.handler("slow")
    async def slow() -> None:
        await asyncio.sleep(60)

    counted = Counted()
    [rejected] = await enqueue(live_storage, "mail")
    [retried] = await enqueue(live_storage, "later")
    [timed_out] = await enqueue(live_storage, "slow", timeout_ms=30, max_attempts=1)
    async with a_worker(live_storage, registry, open_storage=open_another, observer=counted.jobs):
        await ended(live_storage, rejected)
        await ended(live_storage, timed_out)
        await job_that(live_storage, retried, lambda job: job.last_failed_at, "it has failed once")
    assert counted("worker_jobs_failed_total", job_type="mail", reason="rejected") == 1
    assert counted("worker_jobs_failed_total", job_type="slow", reason="timeout") == 1
    assert counted("worker_jobs_retried_total", job_type="later", reason="handler_error") == 1
    assert counted("job_run_seconds_sum", job_type="slow") >= 0.02


async def test_what_a_worker_that_is_stopped_gives_back_is_counted(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started = asyncio.Event()

    @registry.handler("mail")
    async def send() -> None:
        started.set()
        await asyncio.sleep(60)

    counted = Counted()
    await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another, observer=counted.jobs):
        await asyncio.wait_for(started.wait(), 10)
    assert counted("worker_jobs_released_total", job_type="mail") == 1
    assert counted("worker_jobs_completed_total", job_type="mail") == 0


async def test_a_lease_that_is_lost_while_the_handler_runs_is_counted_once(
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

    counted, storage = Counted(), Meddled(live_storage)
    [job_id] = await enqueue(live_storage, "mail")
    async with a_worker(
        storage, registry, open_storage=open_another, observer=counted.jobs, lease_seconds=3, poll_seconds=LONG
    ):
        await asyncio.wait_for(started.wait(), 10)
        storage.before["claim"] = _never
        await _taken_away(live_storage, Lease(job_id, 1))
        await asyncio.wait_for(stopped.wait(), 10)
    assert counted("worker_leases_lost_total", job_type="mail") == 1


async def test_an_outcome_that_comes_too_late_is_a_lost_lease(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    go_on = threading.Event()

    @registry.handler("mail")
    def send() -> None:
        go_on.wait(30)

    counted, storage = Counted(), Meddled(live_storage)
    [job_id] = await enqueue(live_storage, "mail")
    # Heartbeats that come too seldom to hear of it.
    async with a_worker(
        storage, registry, open_storage=open_another, observer=counted.jobs, lease_seconds=300, poll_seconds=LONG
    ):
        await until(lambda: counted("worker_jobs_started_total", job_type="mail"), "it runs")
        storage.before["claim"] = _never
        await _taken_away(live_storage, Lease(job_id, 1))
        go_on.set()
        await until(lambda: counted("worker_leases_lost_total", job_type="mail"), "the report was refused")
    assert counted("worker_jobs_completed_total", job_type="mail") == 0


async def _never() -> None:
    await asyncio.Event().wait()


async def _taken_away(storage: Storage, lease: Lease) -> None:
    async def nothing() -> None: ...

    reclaimer = Reclaimer(upkeep=storage.upkeep, announce=nothing, max_crashes=MAX_CRASHES)

    async def reclaimed() -> bool | None:
        await storage.jobs(NAMESPACE).abandon([lease])
        await reclaimer.tick()
        return True if reclaimer.reclaimed else None

    await eventually("the job was reclaimed", reclaimed)
    assert reclaimer.reclaimed == 1


async def test_a_job_that_ends_its_own_process_is_counted(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    async def crash(_job: ClaimedJob, _work: Work) -> Outcome:
        return Crashed()

    @registry.handler("mail")
    async def send() -> None: ...

    counted = Counted()
    await enqueue(live_storage, "mail")
    [claimed] = await live_storage.jobs(NAMESPACE).claim(["mail"], limit=1, worker_id="gone", lease=LEASE)
    await _taken_away(live_storage, claimed.lease)
    async with a_worker(live_storage, registry, open_storage=open_another, observer=counted.jobs, isolate=crash):
        await until(lambda: counted("worker_jobs_crashed_total", job_type="mail"), "it has crashed again")
    assert counted("job_run_seconds_count", job_type="mail") >= 1


async def test_claims_that_fail_are_counted_each_time(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    async def away() -> None:
        raise StorageUnavailable("gone")

    @registry.handler("mail")
    async def send() -> None: ...

    async with a_worker(Meddled(live_storage, {"claim": away}), registry, open_storage=open_another) as running:
        await until(lambda: running.worker.claimer.errors >= 3, "three claims have failed")


async def test_a_cancelled_job_is_counted(live_storage: Storage, registry: HandlerRegistry, open_another: Open) -> None:
    started = asyncio.Event()

    @registry.handler("mail")
    async def send() -> None:
        started.set()
        await asyncio.sleep(60)

    counted = Counted()
    [job_id] = await enqueue(live_storage, "mail")
    async with a_worker(
        live_storage, registry, open_storage=open_another, observer=counted.jobs, lease_seconds=3, poll_seconds=LONG
    ):
        await asyncio.wait_for(started.wait(), 10)
        await live_storage.jobs(NAMESPACE).cancel([job_id])
        await ended(live_storage, job_id)
        await until(lambda: counted("worker_jobs_cancelled_total", job_type="mail"), "it was counted")
