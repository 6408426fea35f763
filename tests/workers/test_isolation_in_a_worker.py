"""Isolated jobs of a real worker on a real storage."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from dataqueue import HandlerRegistry
from dataqueue.domain.events import EventName
from dataqueue.domain.job import FailureReason, Job, JobStatus, Json
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.acceptance.processes import Process
from tests.processing.a_worker import a_worker, ended, enqueue
from tests.storage.given import NAMESPACE, eventually, told
from tests.workers.processes import pids_in, until
from tests.workers.test_force_kill import LATEST, lateness, times_in
from workers.isolation import Isolation

ROOT = Path(__file__).parents[2]
DURABLE, KILLED = "tests.workers.durable_handlers", "tests.workers.killed_handlers"
LEASE = timedelta(seconds=30)

Open = Callable[[], Storage]


@pytest.fixture(autouse=True)
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture
def open_another(storage_url: str) -> Open:
    return lambda: open_storage(storage_url, pool_size=2)


@pytest.fixture
async def isolation() -> AsyncIterator[Isolation]:
    isolation = Isolation([DURABLE, KILLED], warm=1)
    yield isolation
    await isolation.close()


def handlers_of(*job_types: str) -> HandlerRegistry:
    """Of a worker that must not call one of them itself."""
    registry = HandlerRegistry()

    def refuse() -> None:
        raise AssertionError("this is to run in a process of its own")

    for job_type in job_types:
        registry.handler(job_type)(refuse)
    return registry


async def given_crashed(storage: Storage, job_type: str, **fields: Any) -> UUID:
    """A pending job with a crash behind it."""
    [job_id] = await enqueue(storage, job_type, **fields)
    jobs = storage.jobs(NAMESPACE)
    [claimed] = await jobs.claim([job_type], limit=1, worker_id="dead", lease=LEASE)
    await jobs.abandon([claimed.lease])
    assert await storage.upkeep.reclaim(limit=10, max_crashes=3) == 1
    return job_id


def steps_in(folder: Path) -> int:
    return len(list(folder.glob("*.step")))


async def upkept(storage: Storage, job_id: UUID) -> Job:
    """The job once it has ended, woken and taken back meanwhile as maintenance does."""

    async def look() -> Job | None:
        await storage.upkeep.stage(limit=10)
        await storage.upkeep.reclaim(limit=10, max_crashes=3)
        job = await storage.jobs(NAMESPACE).get(job_id)
        return job if job.status.is_terminal else None

    return await eventually("the job has ended", look, seconds=30)


async def test_a_job_that_crashes_between_two_steps_goes_on_where_it_was(
    live_storage: Storage, open_another: Open, isolation: Isolation, tmp_path: Path
) -> None:
    payload = Json(json.dumps({"folder": str(tmp_path)}))
    job_id = await given_crashed(live_storage, "crashes_between", payload=payload)
    async with a_worker(live_storage, handlers_of("crashes_between"), open_storage=open_another, isolate=isolation):
        job = await upkept(live_storage, job_id)
    assert (job.status, job.output) == (JobStatus.COMPLETED, '"one, two"')
    assert (job.attempts, job.crashes) == (1, 2)
    assert steps_in(tmp_path) == 1
    assert EventName.WAITING in await told(live_storage, job_id)


async def test_a_crashed_job_waits_for_its_token_without_a_process(
    live_storage: Storage, open_another: Open, isolation: Isolation
) -> None:
    job_id = await given_crashed(live_storage, "token")

    async def token_id() -> UUID | None:
        return (await live_storage.jobs(NAMESPACE).get(job_id)).wait_token_id

    async with a_worker(live_storage, handlers_of("token"), open_storage=open_another, isolate=isolation):
        waited_for = await eventually("the job waits for a token", token_id)
        await live_storage.tokens(NAMESPACE).complete(waited_for, output=Json('"yes"'))
        job = await upkept(live_storage, job_id)
    assert (job.status, job.output) == (JobStatus.COMPLETED, '"yes"')


async def test_a_job_is_killed_at_its_deadline_and_has_said_how_far_it_was(
    live_storage: Storage, open_another: Open, isolation: Isolation, tmp_path: Path
) -> None:
    [job_id] = await enqueue(
        live_storage,
        "writes",
        payload=Json(json.dumps({"folder": str(tmp_path)})),
        timeout_ms=1000,
        force_kill_on_timeout=True,
        max_attempts=1,
    )
    async with a_worker(live_storage, handlers_of("writes"), open_storage=open_another, isolate=isolation):
        job = await ended(live_storage, job_id)
    assert (job.status, job.failure_reason, job.progress) == (JobStatus.FAILED, FailureReason.TIMEOUT, 10)
    assert max(lateness(tmp_path, 1).values()) < LATEST


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_worker_that_ends_leaves_no_process(
    live_storage: Storage, storage_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    log, stopped, written = tmp_path / "log", tmp_path / "stopped", tmp_path / "written"
    stopped.mkdir()
    written.mkdir()
    settings = {"url": storage_url, "drain_seconds": 1, "concurrency": 2}
    with Process("worker", "--import", KILLED, log=log, settings=settings, TEST_HOOKS=str(stopped)) as worker:
        killed = {"timeout_ms": 60_000, "force_kill_on_timeout": True}
        quick = await enqueue(live_storage, "naps", 2, payload=Json("0.5"), **killed)
        pids = {(await ended(live_storage, job_id)).output for job_id in quick}
        await enqueue(live_storage, "writes", payload=Json(json.dumps({"folder": str(written)})), **killed)
        await until(lambda: len(times_in(written)) == 5, "five that write")
        await asyncio.to_thread(worker.stop, number)
        await until(lambda: not worker.family(), "the end of all processes")
    if number is signal.SIGTERM:
        # The one that had nothing to do could say goodbye; the worker's own hooks have run, too.
        assert pids & {str(pid) for pid in pids_in(stopped, "stopped")}
