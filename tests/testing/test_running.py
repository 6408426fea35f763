"""A handler can be tested without a database, as a queue would run it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dataqueue import Conflict, Invalid, JobContext, LeaseLost, NotFound, Reject, Retry, handler
from dataqueue.domain.job import FailureReason
from dataqueue.errors import TokenAlreadyCompleted, TokenExpired
from dataqueue.testing import ManualClock, prepare_handler, run_handler

HOUR = timedelta(hours=1)


@dataclass
class User:
    user: int


@handler("testing.onboard")
async def onboard(payload: User, ctx: JobContext) -> dict[str, Any]:
    greeted = await ctx.run("greet", lambda: f"hello {payload.user}")
    await ctx.wait_for(hours=1)
    token = await ctx.create_token(timeout="48h")
    answer = await ctx.wait_for_token(token, name="approval")
    return {"greeted": greeted, "approved": answer.ok, "type": ctx.job.job_type}


async def test_a_registered_handler_runs_as_what_it_is_registered_for() -> None:
    for which in (onboard, "testing.onboard"):
        run = await run_handler(which, User(7))
        await run.skip_wait()
        await run.complete_token()
        assert run.output == {"greeted": "hello 7", "approved": True, "type": "testing.onboard"}


async def test_any_function_will_do() -> None:
    @dataclass
    class Local:
        n: int

    async def nameless(payload: Local) -> int:
        return payload.n + 1

    def plain() -> str:
        return threading.current_thread().name

    assert (await run_handler(nameless, {"n": 1})).output == 2
    assert (await run_handler(plain)).output != threading.main_thread().name
    assert (await run_handler(lambda payload, ctx: ctx.job.job_type)).output == "handler"


async def test_the_payload_is_read_as_the_worker_reads_it() -> None:
    run = await run_handler(onboard, {"user": "many"})
    assert run.failure is not None
    assert (run.status, run.failure.reason, run.will_retry) == ("failed", FailureReason.INVALID_PAYLOAD, False)
    assert "payload.user" in run.failure.message


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"payload": object()}, "payload cannot be JSON"),
        ({"max_attempts": 0}, "max_attempts must be an integer"),
        ({"force_kill_on_timeout": True}, "force_kill_on_timeout needs timeout_ms"),
        ({"tokens": ["mine"]}, "tokens must be a UUID"),
    ],
)
async def test_options_are_as_those_of_a_job(options: Any, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        await run_handler(onboard, **options)


async def test_a_type_that_nobody_handles_is_told() -> None:
    with pytest.raises(NotFound, match=r"no handler of 'testing.nobody' is registered; is its module imported\?"):
        await run_handler("testing.nobody")


async def test_an_attempt_is_counted_as_the_queue_counts_it() -> None:
    async def handle(ctx: JobContext) -> int:
        await ctx.wait_for(HOUR, name="an hour")
        if ctx.attempt < 3:
            raise Retry(after=HOUR)
        return ctx.attempt

    run = await run_handler(handle)
    began = run.clock.now()
    await run.skip_wait()
    assert (run.status, run.attempt, run.will_retry) == ("failed", 1, True)
    await run.retry()
    await run.retry()
    assert (run.status, run.output, run.invocations) == ("completed", 3, 4)
    assert run.clock.now() - began == 3 * HOUR


async def test_a_job_that_failed_for_good_can_be_retried_by_hand() -> None:
    async def handle(ctx: JobContext) -> int:
        await ctx.run("once", lambda: 1)
        if ctx.attempt == 1:
            raise Reject("no")
        return ctx.job.max_attempts

    run = await run_handler(handle, max_attempts=1)
    assert (run.status, run.will_retry, run.failure and run.failure.message) == ("failed", False, "no")
    assert "failed by Reject: no" in repr(run)
    now = run.clock.now()
    await run.retry()
    assert (run.status, run.output, run.calls["once"], run.clock.now()) == ("completed", 2, 1, now)


async def test_a_job_whose_process_dies_again_and_again_fails() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.run("fatal", lambda: 1)

    run = prepare_handler(handle)
    for number in range(4):
        run.crash_at("fatal")
        await (run.resume() if number else run.start())
    assert run.failure is not None
    assert (run.status, run.failure.reason, run.attempt, run.will_retry) == ("failed", FailureReason.CRASHED, 1, False)


async def test_a_crash_ends_all_that_runs_beside_each_other() -> None:
    went_on: list[str] = []

    async def handle(ctx: JobContext) -> None:
        async def part(name: str) -> None:
            try:
                await ctx.run(f"{name} 1", lambda: name)
            except BaseException:
                went_on.append(name)
            await ctx.run(f"{name} 2", lambda: name)

        await asyncio.gather(part("a"), part("b"))

    run = prepare_handler(handle)
    run.crash_at("a 1", stored=True)
    await run.start()
    assert run.status == "crashed"
    assert "a 1" in run.steps
    assert run.calls["a 2"] == 0
    await run.resume()
    assert (run.status, run.calls["a 1"], sorted(run.steps)) == ("completed", 1, ["a 1", "a 2", "b 1", "b 2"])


async def test_a_token_can_be_completed_before_it_is_waited_for() -> None:
    run = await run_handler(onboard, User(1))
    with pytest.raises(Conflict, match="waits for 0 tokens"):
        await run.complete_token()
    await run.skip_wait()
    [token] = run.tokens
    assert token.callback_url.startswith("https://")
    for which in (token.id, str(token.id), token.name, token):
        assert run._token(which) == token.id
    with pytest.raises(Conflict, match="there is no token 'mine'"):
        await run.complete_token(token="mine")

    async def early(ctx: JobContext) -> Any:
        first = await ctx.create_token(name="first")
        await ctx.wait_for(HOUR)
        return (await ctx.wait_for_token(first)).output

    run = await run_handler(early)
    await run.complete_token("soon", token="first")
    assert run.status == "waiting"
    await run.skip_wait()
    assert (run.status, run.output, run.invocations) == ("completed", "soon", 3)


async def test_a_token_ends_once() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.create_token(timeout=60, name="a")
        await ctx.create_token(name="b")
        await ctx.wait_for(HOUR)

    run = await run_handler(handle)
    await run.complete_token(1, token="b")
    await run.complete_token(1, token="b")
    with pytest.raises(TokenAlreadyCompleted):
        await run.complete_token(2, token="b")
    with pytest.raises(Conflict, match="token b is completed"):
        await run.expire_token(token="b")
    await run.expire_token(token="a")
    assert [token.status for token in run.tokens] == ["timed_out", "completed"]
    with pytest.raises(TokenExpired):
        await run.complete_token(1, token="a")
    with pytest.raises(Invalid, match="the output of a token cannot be JSON"):
        await run.complete_token(object(), token="b")


async def test_the_clock_alone_resumes_nothing() -> None:
    run = await run_handler(onboard, User(1), clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    assert run.waiting_for[0].until == datetime(2026, 1, 1, 1, tzinfo=UTC)
    with pytest.raises(Conflict, match=r"cannot resume <DurableRun of testing\.onboard, waiting for wait:1>"):
        await run.resume()
    run.clock.advance(HOUR)
    assert run.status == "waiting"
    await run.resume()
    assert [wait.name for wait in run.waiting_for] == ["approval"]


async def test_what_does_not_fit_the_moment_is_refused() -> None:
    run = await run_handler(lambda: None)
    for refused in (run.start, run.resume, run.skip_wait, run.retry, run.finish, run.time_out):
        with pytest.raises(Conflict, match=f"cannot {refused.__name__} <DurableRun of handler, completed>"):
            await refused()


async def test_a_plain_test_runs_each_call_in_a_loop_of_its_own() -> None:
    def plain_test() -> None:
        run = asyncio.run(run_handler(onboard, User(1)))
        asyncio.run(run.skip_wait())
        asyncio.run(run.complete_token())
        assert run.status == "completed"

    await asyncio.to_thread(plain_test)


async def test_a_handler_is_asked_for_more_time_until_it_needs_none() -> None:
    answers: list[Any] = [timedelta(seconds=5), 1000, None]

    async def handle(ctx: JobContext) -> None:
        ctx.on_timeout(lambda: answers.pop(0))
        await ctx.run("slow", asyncio.Event().wait)

    run = prepare_handler(handle, timeout_ms=2000)
    run.begin()
    await run.reached("slow")
    began = run.clock.now()
    assert run.deadline == began + timedelta(seconds=2)
    assert await run.time_out()
    assert run.deadline == began + timedelta(seconds=7)
    assert await run.time_out()
    assert run.deadline == began + timedelta(seconds=8)
    assert not await run.time_out()
    assert run.failure is not None
    assert (run.status, run.failure.message, run.failure.reason) == (
        "failed",
        "timed out after 2000 ms",
        FailureReason.TIMEOUT,
    )
    assert [note.prolonged_ms for note in run.notes] == [5000, 1000]
    assert run.will_retry
    assert run.deadline is None


async def test_a_callback_that_raises_gives_no_more_time() -> None:
    async def handle(ctx: JobContext) -> None:
        ctx.on_timeout(lambda: 1 // 0)
        await ctx.run("slow", asyncio.Event().wait)

    run = prepare_handler(handle, timeout_ms=1)
    run.begin()
    await run.reached("slow")
    assert not await run.time_out()
    assert run.status == "failed"


async def test_a_handler_moves_its_end() -> None:
    async def handle(ctx: JobContext) -> None:
        ctx.prolong(60_000)
        await ctx.run("slow", asyncio.Event().wait)

    run = prepare_handler(handle, timeout_ms=1000)
    run.begin()
    await run.reached("slow")
    assert run.deadline == run.clock.now() + timedelta(minutes=1)
    assert not await run.time_out()


async def test_a_thread_is_told_that_its_time_is_up() -> None:
    def handle(payload: Any, ctx: JobContext) -> str:
        ctx.set_progress(1)
        while not ctx.cancelled:
            threading.Event().wait(0.001)
        ctx.set_progress(2)
        return "too late"

    run = prepare_handler(handle, timeout_ms=1000, force_kill_on_timeout=True)
    run.begin()
    await run.until(lambda: run.progress)
    assert not await run.time_out()
    assert (run.status, run.output, run.progress) == ("failed", None, [1])


async def test_a_handler_that_swallows_its_end_is_told_again() -> None:
    told: list[int] = []

    async def handle(ctx: JobContext) -> str:
        for n in range(3):
            try:
                await ctx.run(f"slow {n}", asyncio.Event().wait)
            except asyncio.CancelledError:
                told.append(n)
        return "half of it"

    run = prepare_handler(handle, timeout_ms=1000)
    run.begin()
    await run.reached("slow 0")
    assert not await run.time_out()
    assert (run.status, run.output, told, run.calls) == ("failed", None, [0, 1, 2], {"slow 0": 1})


async def test_a_handler_that_runs_can_be_waited_for() -> None:
    may_end = asyncio.Event()

    async def handle(ctx: JobContext) -> None:
        await ctx.run("slow", may_end.wait)

    run = prepare_handler(handle)
    run.begin()
    await run.reached("slow")
    with pytest.raises(Conflict, match="the job has no timeout_ms"):
        await run.time_out()
    may_end.set()
    with pytest.raises(Conflict, match="the handler has ended before"):
        await run.reached("another")
    await run.finish()
    assert run.status == "completed"


async def test_a_lease_that_a_handler_says_is_lost_leaves_the_job_to_another() -> None:
    async def handle(ctx: JobContext) -> None:
        if ctx.job.invocation == 1:
            raise LeaseLost("as a step would")

    run = await run_handler(handle)
    assert run.status == "crashed"
    await run.resume()
    assert run.status == "completed"


def test_it_needs_no_backend_nor_the_service() -> None:
    dear = {"alembic", "app", "asyncpg", "fastapi", "httpx", "redis", "sqlalchemy", "workers"}
    script = f"import sys, dataqueue.testing; print(sorted({dear} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
