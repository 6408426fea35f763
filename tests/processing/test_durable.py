"""Durable handlers in a real worker beside a real storage."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dataqueue import HandlerRegistry, JobContext
from dataqueue.domain.job import FailureReason, Job, JobStatus, Json
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.tokens import TokenStatus
from dataqueue.storage.port import Storage
from tests.processing.a_worker import LONG, Meddled, a_worker, completed, ended, enqueue, job_that
from tests.storage.given import NAMESPACE, eventually, told

Open = Callable[[], Storage]
SOON: Final = 0.05


async def woken(storage: Storage, job_id: UUID) -> Job:
    """The job once it has ended, staged meanwhile as maintenance does."""

    async def look() -> Job | None:
        await storage.upkeep.stage(limit=100)
        job = await storage.jobs(NAMESPACE).get(job_id)
        return job if job.status.is_terminal else None

    return await eventually("the job has ended", look)


async def waiting(storage: Storage, job_id: UUID) -> Job:
    return await job_that(storage, job_id, lambda job: job.status is JobStatus.WAITING, "the job waits")


async def test_what_a_step_has_done_is_not_done_again_after_a_wait(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    calls: Counter[str] = Counter()

    def charge(amount: int) -> dict[str, int]:
        calls["charge"] += 1
        return {"charged": amount}

    @registry.handler("order")
    async def order(ctx: JobContext) -> Any:
        calls["order"] += 1
        paid = await ctx.run("charge", charge, 5)
        await ctx.wait_for(seconds=SOON)
        return paid

    [job_id] = await enqueue(live_storage, "order")
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await woken(live_storage, job_id)
    assert (job.status, job.output, job.attempts) == (JobStatus.COMPLETED, '{"charged":5}', 1)
    assert calls == {"charge": 1, "order": 2}
    assert json.loads(job.steps) == {"charge": {"ok": {"charged": 5}}, "wait:1": {"ok": None}}
    assert await told(live_storage, job_id) == [
        "job:added", "job:processing", "step:completed", "job:waiting",
        "job:resumed", "job:processing", "job:completed",
    ]  # fmt: skip


async def test_a_waiting_job_holds_no_worker_no_slot_and_no_attempt(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("nap")
    async def nap(ctx: JobContext) -> None:
        await ctx.wait_for(hours=1)

    @registry.handler("quick")
    async def quick() -> None:
        return None

    naps = await enqueue(live_storage, "nap", 5)
    async with a_worker(live_storage, registry, open_storage=open_another, concurrency=1):
        for job_id in naps:
            job = await waiting(live_storage, job_id)
            assert (job.locked_by, job.lease_expires_at, job.attempts) == (None, None, 1)
            assert job.wait_until is not None
            assert timedelta(minutes=59) < job.wait_until - datetime.now(UTC) <= timedelta(hours=1)
        await completed(live_storage, await enqueue(live_storage, "quick"))


async def test_a_handler_of_a_hundred_waits_uses_one_attempt(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("patient")
    async def patient(ctx: JobContext) -> int:
        for _ in range(100):
            await ctx.wait_until(datetime(2020, 1, 1, tzinfo=UTC))
        return ctx.attempt

    [job_id] = await enqueue(live_storage, "patient", max_attempts=1)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert (job.status, job.output, job.attempts) == (JobStatus.COMPLETED, "1", 1)


async def test_steps_are_kept_when_an_attempt_fails(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    calls: Counter[str] = Counter()

    async def count(what: str) -> int:
        calls[what] += 1
        if what == "b" and calls[what] == 1:
            raise RuntimeError("b fails once")
        return calls[what]

    @registry.handler("retried")
    async def retried(ctx: JobContext) -> list[int]:
        return [await ctx.run("a", count, "a"), await ctx.run("b", count, "b")]

    [job_id] = await enqueue(live_storage, "retried", retry=RetryPolicy(delay=0, backoff=False))
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert (job.status, job.output, job.attempts) == (JobStatus.COMPLETED, "[1,2]", 2)
    assert calls == {"a": 1, "b": 2}


async def test_a_token_completed_by_an_outsider_resumes_its_job_at_once(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    urls: list[str] = []

    @registry.handler("ask")
    async def ask(ctx: JobContext) -> Any:
        token = await ctx.create_token(timeout="48h", tags=["approval"])
        urls.append(token.callback_url)
        answer = await ctx.wait_for_token(token)
        return {"ok": answer.ok, "output": answer.output}

    [job_id] = await enqueue(live_storage, "ask")
    async with a_worker(live_storage, registry, open_storage=open_another, poll_seconds=0.2):
        job = await waiting(live_storage, job_id)
        assert job.wait_token_id is not None
        tokens = live_storage.tokens(NAMESPACE)
        token = await tokens.get(job.wait_token_id)
        assert (token.status, token.tags, token.job_id, token.name) == (
            TokenStatus.WAITING, ("approval",), job_id, "token:1",
        )  # fmt: skip
        ended_token = await tokens.complete(token.id, output=Json('{"by": "ann"}'))
        assert (ended_token.is_first, ended_token.woken) == (True, frozenset({"ask"}))
        job = await ended(live_storage, job_id)
    assert json.loads(job.output or "") == {"ok": True, "output": {"by": "ann"}}
    assert len(set(urls)) == 1
    assert str(token.id) in urls[0]


async def test_a_token_completed_before_it_is_waited_for_is_not_lost(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("ask")
    async def ask(ctx: JobContext) -> Any:
        token = await ctx.create_token()
        await live_storage.tokens(NAMESPACE).complete(token.id, output=Json("7"))
        return (await ctx.wait_for_token(token)).output

    [job_id] = await enqueue(live_storage, "ask")
    async with a_worker(live_storage, registry, open_storage=open_another, poll_seconds=LONG):
        assert (await ended(live_storage, job_id)).output == "7"


async def test_a_token_that_expires_says_so(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("ask")
    async def ask(ctx: JobContext) -> Any:
        answer = await ctx.wait_for_token(await ctx.create_token(timeout=SOON))
        return [answer.ok, answer.output, answer.error]

    [job_id] = await enqueue(live_storage, "ask")
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await woken(live_storage, job_id)
    assert json.loads(job.output or "") == [False, None, "the token expired before it was completed"]


async def test_waits_beside_each_other_end_with_the_first(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("race")
    async def race(ctx: JobContext) -> str:
        token = await ctx.create_token()
        answer = asyncio.ensure_future(ctx.wait_for_token(token, name="answer"))
        late = asyncio.ensure_future(ctx.wait_for(hours=1, name="late"))
        done, _ = await asyncio.wait({answer, late}, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
        return "answered" if answer in done else "late"

    [job_id] = await enqueue(live_storage, "race")
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await waiting(live_storage, job_id)
        assert job.wait_token_id is not None
        assert job.wait_until is not None
        await live_storage.tokens(NAMESPACE).complete(job.wait_token_id, output=Json("null"))
        assert (await ended(live_storage, job_id)).output == '"answered"'


async def test_progress_is_written_now_and_then_and_the_last_one_lands(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("busy")
    async def busy(ctx: JobContext) -> str:
        for n in range(10_000):
            await ctx.set_progress(n / 100)
        await ctx.set_output({"so": "far"})
        return "not this"

    meddled = Meddled(live_storage)
    [job_id] = await enqueue(live_storage, "busy")
    async with a_worker(meddled, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert (job.progress, json.loads(job.output or "")) == (100, {"so": "far"})
    assert meddled.calls["note"] <= 3
    assert (await told(live_storage, job_id))[-3:] == ["job:progress", "job:output", "job:completed"]


async def test_a_plain_function_says_how_far_it_is_too(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    go_on = threading.Event()

    @registry.handler("plain")
    def plain(ctx: JobContext) -> None:
        ctx.set_progress(40)
        go_on.wait(10)
        ctx.set_progress(80)

    [job_id] = await enqueue(live_storage, "plain")
    async with a_worker(live_storage, registry, open_storage=open_another):
        await job_that(live_storage, job_id, lambda job: job.progress == 40, "it is at 40")
        go_on.set()
        assert (await ended(live_storage, job_id)).progress == 80


async def test_a_handler_that_prolongs_itself_is_not_timed_out(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("slow")
    async def slow(ctx: JobContext) -> str:
        left: list[float | timedelta] = [200, timedelta(milliseconds=200)]
        ctx.on_timeout(lambda: left.pop() if left else None)
        await asyncio.sleep(0.25)
        ctx.prolong(10_000)
        await asyncio.sleep(0.25)
        return "done"

    [job_id] = await enqueue(live_storage, "slow", timeout_ms=100)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert job.output == '"done"'
    assert "job:prolonged" in await told(live_storage, job_id)


async def test_without_more_time_it_is_cancelled_and_has_a_while_to_clean_up(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    cleaned_up: list[bool] = []
    asked: list[int] = []

    @registry.handler("slow")
    async def slow(ctx: JobContext) -> None:

        def no_more() -> None:
            asked.append(1)

        ctx.on_timeout(no_more)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(ctx.cancelled)

    [job_id] = await enqueue(live_storage, "slow", timeout_ms=100, max_attempts=1)
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await ended(live_storage, job_id)
    assert (job.status, job.failure_reason) == (JobStatus.FAILED, FailureReason.TIMEOUT)
    assert (cleaned_up, asked) == ([True], [1])


async def test_a_handler_that_has_changed_fails_at_once_saying_how(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    invocations: list[int] = []

    @registry.handler("changed")
    async def changed(ctx: JobContext) -> None:
        invocations.append(1)
        if len(invocations) == 1:
            await ctx.wait_for(seconds=SOON)
        else:
            await ctx.wait_for_token(await ctx.create_token())

    [job_id] = await enqueue(live_storage, "changed")
    async with a_worker(live_storage, registry, open_storage=open_another):
        job = await woken(live_storage, job_id)
    assert (job.status, job.attempts) == (JobStatus.FAILED, 1)
    [entry] = json.loads(job.error_history)
    assert entry["type"] == "NonDeterministicHandler"
    assert "expected wait_for or wait_until" in entry["message"]
    assert "found wait_for_token" in entry["message"]


async def test_a_job_that_was_taken_away_stores_nothing_more(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    gone, ended_by = asyncio.Event(), list[str]()

    @registry.handler("slow")
    async def slow(ctx: JobContext) -> None:
        await gone.wait()
        try:
            await ctx.run("late", lambda: 1)
        except BaseException as error:
            ended_by.append(type(error).__name__)
            raise

    [job_id] = await enqueue(live_storage, "slow")
    async with a_worker(live_storage, registry, open_storage=open_another) as running:
        job = await job_that(live_storage, job_id, lambda job: job.status is JobStatus.PROCESSING, "it runs")
        await live_storage.jobs(NAMESPACE).recall(job.locked_by or "", known=[])
        running.worker.claimer.stop()
        gone.set()

        async def look() -> bool | None:
            return True if ended_by else None

        await eventually("the handler has ended", look)
    assert ended_by[0] in {"LeaseLost", "CancelledError"}
    assert (await live_storage.jobs(NAMESPACE).get(job_id)).steps == "{}"


async def test_cancelling_a_waiting_job_ends_it(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("nap")
    async def nap(ctx: JobContext) -> None:
        await ctx.wait_for(hours=1)

    [job_id] = await enqueue(live_storage, "nap")
    async with a_worker(live_storage, registry, open_storage=open_another):
        await waiting(live_storage, job_id)
        await live_storage.jobs(NAMESPACE).cancel([job_id])
        assert (await ended(live_storage, job_id)).status is JobStatus.CANCELLED
