"""Jobs are claimed, run and reported, each to the end its handler chose."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pydantic
import pytest

from dataqueue import ClaimedJob, HandlerRegistry, JobContext, JobStatus, Reject, Retry
from dataqueue.domain.job import FailureReason, Json
from dataqueue.domain.retry import RetryPolicy
from dataqueue.outcome import Completed, Crashed, Outcome
from dataqueue.storage.port import Storage
from dataqueue.work import Work
from tests.processing.a_worker import a_worker, completed, ended, enqueue, job_that
from tests.storage.given import MAX_CRASHES, NAMESPACE, claim, eventually

Open = Callable[[], Storage]
AT_ONCE = RetryPolicy(delay=0, backoff=False)


class Mail(pydantic.BaseModel):
    to: str


async def test_an_async_handler_does_its_job(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send(payload: Mail, ctx: JobContext) -> object:
        await asyncio.sleep(0)
        return {"to": payload.to, "attempt": ctx.attempt, "id": ctx.job.id, "cancelled": ctx.cancelled}

    [job_id] = await enqueue(live_storage, "mail", payload=Json('{"to":"ann"}'))
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert job.status is JobStatus.COMPLETED
    assert json.loads(job.output or "") == {"to": "ann", "attempt": 1, "id": str(job_id), "cancelled": False}


async def test_a_plain_function_runs_in_a_thread(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    def send(payload: Mail) -> str:
        return threading.current_thread().name

    [job_id] = await enqueue(live_storage, "mail", payload=Json('{"to":"ann"}'))
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert job.status is JobStatus.COMPLETED
    assert (job.output or "").startswith('"handler-')


async def test_outputs_are_kept_as_json(live_storage: Storage, registry: HandlerRegistry, open_another: Open) -> None:
    outputs: list[Any] = [None, Mail(to="é"), datetime(2030, 1, 1, tzinfo=UTC), UUID(int=1), [10**30, []]]

    @registry.handler("give")
    async def give(payload: int) -> object:
        return outputs[payload]

    job_ids = [(await enqueue(live_storage, "give", payload=Json(str(n))))[0] for n in range(len(outputs))]
    async with a_worker(live_storage, registry, open_storage=open_another):
        await completed(live_storage, job_ids)
    assert [(await live_storage.jobs(NAMESPACE).get(job_id)).output for job_id in job_ids] == [
        None,
        '{"to":"é"}',
        '"2030-01-01T00:00:00Z"',
        '"00000000-0000-0000-0000-000000000001"',
        f"[{10**30},[]]",
    ]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_an_output_that_is_no_json_fails_the_job_once(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open, kind: str
) -> None:
    calls: list[int] = []

    async def give_async() -> object:
        calls.append(1)
        return object()

    def give() -> object:
        calls.append(1)
        return object()

    registry.handler("give")(give_async if kind == "async" else give)
    [job_id] = await enqueue(live_storage, "give", retry=AT_ONCE)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert (job.status, job.failure_reason, job.attempts) == (JobStatus.FAILED, FailureReason.HANDLER_ERROR, 1)
    assert "the output cannot be JSON" in json.loads(job.error_history)[0]["message"]
    assert len(calls) == 1


async def test_a_payload_that_does_not_fit_fails_the_job_once_and_names_the_field(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send(payload: Mail) -> None: ...

    [job_id] = await enqueue(live_storage, "mail", payload=Json('{"too":"s3cr3t"}'), retry=AT_ONCE)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert (job.status, job.failure_reason, job.attempts) == (JobStatus.FAILED, FailureReason.INVALID_PAYLOAD, 1)
    assert json.loads(job.error_history)[0]["message"] == "payload.to: Field required"


async def test_an_error_is_tried_again_by_the_job_s_own_policy(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None:
        raise ValueError("no\0 luck \ud800")

    [job_id] = await enqueue(live_storage, "mail", retry=RetryPolicy(delay=100, backoff=False))
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await job_that(live_storage, job_id, lambda job: job.last_failed_at, "the attempt has failed")
    assert (job.status, job.pending_reason, job.attempts) == (JobStatus.PENDING, "retry", 1)
    assert job.next_attempt_at is not None
    assert job.last_failed_at is not None
    assert job.next_attempt_at - job.last_failed_at == timedelta(seconds=100)
    [entry] = json.loads(job.error_history)
    assert (entry["message"], entry["type"]) == ("no\ufffd luck ?", "ValueError")


async def test_retry_asks_for_another_attempt_until_there_is_none(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    attempts: list[int] = []

    @registry.handler("mail")
    async def send(payload: Any, ctx: JobContext) -> None:
        attempts.append(ctx.attempt)
        raise Retry(after=0.001, message="not yet")

    [job_id] = await enqueue(live_storage, "mail", max_attempts=3, retry=RetryPolicy(delay=3600))
    async with a_worker(live_storage, registry, open_storage=open_another, poll_seconds=0.05):

        async def failed() -> bool | None:
            await live_storage.upkeep.stage(limit=10)
            return (await live_storage.jobs(NAMESPACE).get(job_id)).status is JobStatus.FAILED or None

        await eventually("the last attempt has failed", failed)
    job = await live_storage.jobs(NAMESPACE).get(job_id)
    assert attempts == [1, 2, 3]
    assert [entry["message"] for entry in json.loads(job.error_history)] == ["not yet"] * 3


async def test_reject_fails_the_job_now(live_storage: Storage, registry: HandlerRegistry, open_another: Open) -> None:
    @registry.handler("mail")
    def send() -> None:
        raise Reject("no such address")

    [job_id] = await enqueue(live_storage, "mail", retry=AT_ONCE)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert (job.status, job.failure_reason, job.attempts) == (JobStatus.FAILED, FailureReason.REJECTED, 1)
    assert json.loads(job.error_history)[0]["message"] == "no such address"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), MemoryError()])
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_nothing_a_handler_raises_kills_the_worker(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open, error: BaseException, kind: str
) -> None:
    async def die_async() -> None:
        raise error

    def die() -> None:
        raise error

    @registry.handler("live")
    async def live() -> None: ...

    registry.handler("die")(die_async if kind == "async" else die)
    [job_id] = await enqueue(live_storage, "die", max_attempts=1)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
        await completed(live_storage, await enqueue(live_storage, "live"))
    assert (job.status, job.failure_reason) == (JobStatus.FAILED, FailureReason.HANDLER_ERROR)


async def test_types_without_a_handler_are_left_alone(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("known")
    async def known() -> None: ...

    [unknown] = await enqueue(live_storage, "unknown", priority=100)
    async with a_worker(live_storage, registry, open_storage=open_another):
        await completed(live_storage, await enqueue(live_storage, "known", 20))
    job = await live_storage.jobs(NAMESPACE).get(unknown)
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)


async def test_a_worker_told_its_types_serves_no_others(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("wanted")
    async def wanted() -> None: ...

    @registry.handler("unwanted")
    async def unwanted() -> None: ...

    [left] = await enqueue(live_storage, "unwanted")
    async with a_worker(live_storage, registry, open_storage=open_another, job_types=["wanted", "none"]) as running:
        assert running.worker.job_types == ("wanted",)
        await completed(live_storage, await enqueue(live_storage, "wanted", 20))
    assert (await live_storage.jobs(NAMESPACE).get(left)).status is JobStatus.PENDING


async def test_a_worker_of_nothing_waits_to_be_stopped(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    async with a_worker(live_storage, registry, open_storage=open_another) as running:
        running.stop.set()
        await asyncio.wait_for(running.running, 10)


async def given_a_crashed_job(storage: Storage, job_type: str) -> UUID:
    [job_id] = await enqueue(storage, job_type)
    [job] = await claim(storage.jobs(NAMESPACE), job_type, worker_id="dead")
    await storage.jobs(NAMESPACE).abandon([job.lease])
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 1
    return job_id


async def test_a_job_that_crashed_before_is_isolated(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    here: list[UUID] = []
    isolated: list[UUID] = []

    @registry.handler("mail")
    async def send(payload: Any, ctx: JobContext) -> None:
        here.append(ctx.job.id)

    async def isolate(job: ClaimedJob, _: Work) -> Outcome:
        isolated.append(job.id)
        return Completed(Json('"alone"'))

    suspect = await given_a_crashed_job(live_storage, "mail")
    [innocent] = await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another, isolate=isolate):
        await completed(live_storage, [suspect, innocent])
    assert (isolated, here) == ([suspect], [innocent])
    assert (await live_storage.jobs(NAMESPACE).get(suspect)).output == '"alone"'


async def test_a_crash_in_isolation_is_counted_at_once(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    async def isolate(job: ClaimedJob, _: Work) -> Outcome:
        return Crashed()

    job_id = await given_a_crashed_job(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another, isolate=isolate):

        async def crashed_again() -> bool | None:
            await live_storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
            return (await live_storage.jobs(NAMESPACE).get(job_id)).status is JobStatus.FAILED or None

        await eventually("the job has crashed too often", crashed_again)
    job = await live_storage.jobs(NAMESPACE).get(job_id)
    assert (job.failure_reason, job.crashes) == (FailureReason.CRASHED, MAX_CRASHES + 1)
