"""A durable handler is called again and again, and does nothing twice that was stored."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest

from dataqueue import Invalid, JobContext
from dataqueue.domain.job import FailureReason
from dataqueue.domain.steps import LARGEST_STEP, MOST_STEPS
from dataqueue.ids import new_id
from dataqueue.testing import DurableRun, prepare_handler, run_handler

DAY = timedelta(days=1)


def failed_for_good(run: DurableRun, kind: str) -> str:
    """The message of the failure."""
    assert run.status == "failed", run
    assert run.failure is not None
    assert (run.failure.type, run.failure.retry_after) == (kind, None)
    return run.failure.message


async def test_a_step_is_done_once_and_its_result_met_again() -> None:
    async def handle(ctx: JobContext) -> list[Any]:
        plain = await ctx.run("plain", lambda: {"n": 1})

        async def fetch(n: int, *, more: int) -> int:
            await asyncio.sleep(0)
            return n + more

        fetched = await ctx.run("fetched", fetch, 1, more=2)
        nothing: object = await ctx.run("nothing", dict[str, int]().get, "absent")
        await ctx.wait_for(DAY)
        return [plain, fetched, nothing]

    run = await run_handler(handle)
    assert (run.status, run.steps) == ("waiting", {"plain": {"n": 1}, "fetched": 3, "nothing": None})
    await run.skip_wait()
    assert (run.status, run.output, run.invocations, run.attempt) == ("completed", [{"n": 1}, 3, None], 2, 1)
    assert set(run.calls.values()) == {1}


async def test_a_step_may_return_a_coroutine() -> None:
    async def fetch(n: int) -> int:
        return n

    class Fetcher:
        async def __call__(self) -> int:
            return 2

    async def handle(ctx: JobContext) -> list[int]:
        return [await ctx.run("one", lambda: fetch(1)), await ctx.run("two", Fetcher())]

    assert (await run_handler(handle)).output == [1, 2]


async def test_a_result_is_what_json_makes_of_it_the_first_time_too() -> None:
    class Receipt(pydantic.BaseModel):
        number: int
        at: datetime

    async def handle(ctx: JobContext) -> None:
        receipt = await ctx.run("charge", lambda: Receipt(number=1, at=datetime(2030, 1, 1, tzinfo=UTC)))
        assert receipt == {"number": 1, "at": "2030-01-01T00:00:00Z"}  # type: ignore[comparison-overlap]
        assert await ctx.run("pair", lambda: (1, {2: 3})) == [1, {"2": 3}]  # type: ignore[comparison-overlap]
        assert await ctx.run("large", lambda: 2**70) == 2**70

    run = await run_handler(handle)
    assert run.status == "completed", run


async def test_a_step_that_raises_is_not_stored_and_runs_again() -> None:
    answers = iter((ConnectionError("away"), 7))

    def charge() -> int:
        answer = next(answers)
        if isinstance(answer, int):
            return answer
        raise answer

    async def handle(ctx: JobContext) -> int:
        before = await ctx.run("before", lambda: 1)
        return before + await ctx.run("charge", charge)

    run = await run_handler(handle, retry_delay=5, retry_backoff=False)
    assert (run.status, run.steps, run.will_retry) == ("failed", {"before": 1}, True)
    assert isinstance(run.exception, ConnectionError)
    await run.retry()
    assert (run.status, run.output, run.attempt, run.calls) == ("completed", 8, 2, {"before": 1, "charge": 2})


async def test_a_name_is_used_once() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.run("charge", lambda: 1)
        await ctx.run("charge", lambda: 2)

    run = await run_handler(handle)
    assert run.failure is not None
    assert run.failure.message == "step 'charge' was used twice in one invocation: each needs a name of its own"
    assert run.calls == {"charge": 1}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1, object()}, "the result of step 'odd' cannot be JSON: Unable to serialize"),
        (float("nan"), "the result of step 'odd' holds a number that is not finite"),
        ("a\0b", "the result of step 'odd' holds a NUL character"),
        ("x" * LARGEST_STEP, "the result of step 'odd' is 262146 bytes of JSON; at most 262144 can be kept"),
    ],
)
async def test_a_result_that_cannot_be_kept_fails_at_its_step(value: Any, reason: str) -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.run("odd", lambda: value)
        raise AssertionError("it went on")

    run = await run_handler(handle)
    assert isinstance(run.exception, Invalid)
    assert str(run.exception).startswith(reason)
    assert run.steps == {}


async def test_all_results_together_are_bounded() -> None:
    async def handle(ctx: JobContext) -> None:
        for n in range(20):
            await ctx.run(f"part {n}", lambda: "x" * (LARGEST_STEP - 2))

    run = await run_handler(handle)
    assert (len(run.steps), len(run.calls)) == (16, 17)
    assert str(run.exception) == "with step 'part 16' the steps of this job are more than 4194304 bytes of JSON"


async def test_a_job_has_a_thousand_steps_at_most() -> None:
    async def nothing() -> None: ...

    async def handle(ctx: JobContext) -> None:
        for n in range(MOST_STEPS + 1):
            await ctx.run(f"step {n}", nothing)

    run = await run_handler(handle)
    assert len(run.steps) == MOST_STEPS
    assert "step 'step 1000' is one too many" in str(run.exception)


async def test_a_step_has_an_id_of_its_own_in_every_attempt() -> None:
    ids: list[str] = []

    async def handle(ctx: JobContext) -> None:
        async def in_task() -> None:
            ids.append(ctx.step_id)

        def in_thread() -> None:
            ids.append(ctx.step_id)
            if ctx.attempt == 1:
                raise ConnectionError

        await ctx.run("in task", in_task)
        await ctx.run("in thread", in_thread)
        with pytest.raises(Invalid, match="step_id: there is one only inside a function"):
            _ = ctx.step_id

    run = await run_handler(handle)
    await run.retry()
    assert run.status == "completed", run
    assert ids == [f"{run.job_id}:in task", *[f"{run.job_id}:in thread"] * 2]


async def test_steps_in_threads_see_the_handler_s_context_variables() -> None:
    request: ContextVar[str] = ContextVar("request")

    async def handle(ctx: JobContext) -> str:
        request.set("r1")
        return await ctx.run("read", request.get)

    assert (await run_handler(handle)).output == "r1"


@pytest.mark.parametrize(
    "use",
    [
        lambda ctx: ctx.run("a", lambda: 1),
        lambda ctx: ctx.wait_for(DAY),
        lambda ctx: ctx.wait_until(datetime(2031, 1, 1, tzinfo=UTC)),
        lambda ctx: ctx.wait_for_token(new_id()),
        lambda ctx: ctx.create_token(),
    ],
)
async def test_what_makes_a_handler_durable_needs_one_that_is_async_and_not_killed(use: Any) -> None:
    def plain(payload: Any, ctx: JobContext) -> None:
        use(ctx)

    async def asynchronous(payload: Any, ctx: JobContext) -> None:
        await use(ctx)

    run = await run_handler(plain)
    assert run.failure is not None
    assert run.failure.type == "Unsupported"
    assert run.failure.message.endswith("only an `async def` handler can have steps and waits")
    killed = await run_handler(asynchronous, timeout_ms=1000, force_kill_on_timeout=True)
    assert killed.failure is not None
    assert killed.failure.type == "Unsupported"
    assert killed.failure.message.endswith("not in a job that is killed on timeout (force_kill_on_timeout)")


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda ctx: ctx.wait_for(), "wait_for: say how long"),
        (lambda ctx: ctx.wait_for(DAY, hours=1), "wait_for: say how long"),
        (lambda ctx: ctx.wait_for(timedelta(0)), "wait_for: must be a positive duration"),
        (lambda ctx: ctx.wait_for(years=101), "wait_for: must be at most 100 years"),
        (lambda ctx: ctx.wait_until(datetime(2031, 1, 1)), "wait_until: the datetime has no time zone"),  # noqa: DTZ001
        (lambda ctx: ctx.wait_until(datetime(1999, 1, 1, tzinfo=UTC)), "wait_until: the years from 2000 to 2200"),
        (lambda ctx: ctx.wait_for_token("mine"), "token must be a UUID"),
        (lambda ctx: ctx.create_token(timeout="soon"), "timeout: must look like"),
        (lambda ctx: ctx.create_token(tags="approval"), "tags must be a list of texts"),
        (lambda ctx: ctx.run("ä", lambda: 1), "the name of a step is 1 to 200 letters"),
        (lambda ctx: ctx.set_progress(101), "set_progress: give a number from 0 to 100"),
        (lambda ctx: ctx.set_progress(float("nan")), "set_progress: give a number from 0 to 100"),
        (lambda ctx: ctx.set_progress(True), "set_progress: give a number from 0 to 100"),
    ],
)
async def test_what_cannot_be_meant_is_refused(use: Any, reason: str) -> None:
    async def handle(ctx: JobContext) -> None:
        await use(ctx)

    run = await run_handler(handle)
    assert isinstance(run.exception, Invalid)
    assert str(run.exception).startswith(reason)


async def test_another_kind_under_the_name_fails_for_good() -> None:
    deployed = "old"

    async def handle(ctx: JobContext) -> None:
        if deployed == "old":
            await ctx.run("a", lambda: 1)
        else:
            await ctx.create_token(name="a")
        await ctx.wait_for(DAY)

    run = await run_handler(handle)
    deployed = "new"
    await run.skip_wait()
    assert failed_for_good(run, "NonDeterministicHandler") == (
        "step 'a': expected run, as in an earlier invocation of this job, and found create_token"
        "; put back what was there, or retry the job once code that fits is deployed"
    )
    assert run.failure is not None
    assert run.failure.reason is FailureReason.HANDLER_ERROR


async def test_another_wait_before_one_that_was_there_fails_for_good() -> None:
    deployed = "old"

    async def handle(ctx: JobContext) -> None:
        await ctx.wait_for(DAY, name="a day")
        await ctx.wait_for(DAY, name=f"another {deployed} day")

    run = await run_handler(handle)
    await run.skip_wait()
    deployed = "new"
    await run.skip_wait()
    assert failed_for_good(run, "NonDeterministicHandler") == (
        "expected wait_for or wait_until named 'another old day', as in an earlier invocation of this job, "
        "and found wait_for or wait_until named 'another new day'"
        "; put back what was there, or retry the job once code that fits is deployed"
    )


async def test_a_step_that_is_new_or_gone_does_no_harm() -> None:
    deployed = "old"

    async def handle(ctx: JobContext) -> str:
        await ctx.run(deployed, lambda: 1)
        await ctx.wait_for(DAY)
        return deployed

    run = await run_handler(handle)
    deployed = "new"
    await run.skip_wait()
    assert (run.status, run.output, run.calls) == ("completed", "new", {"old": 1, "new": 1})


@pytest.mark.parametrize(("stored", "calls"), [(False, 2), (True, 1)])
async def test_a_step_runs_again_only_if_the_process_died_before_it_was_stored(stored: bool, calls: int) -> None:
    async def handle(ctx: JobContext) -> int:
        return await ctx.run("charge", lambda: 5)

    run = prepare_handler(handle)
    run.crash_at("charge", stored=stored)
    await run.start()
    assert (run.status, run.attempt) == ("crashed", 1)
    await run.resume()
    assert (run.status, run.output, run.calls["charge"], run.attempt) == ("completed", 5, calls, 1)


async def test_a_handler_s_output_is_what_it_has_set() -> None:
    async def handle(ctx: JobContext) -> str:
        await ctx.set_output({"at": "work"})
        await ctx.wait_for(DAY)
        return "returned"

    run = await run_handler(handle)
    assert run.output == {"at": "work"}
    await run.skip_wait()
    assert (run.status, run.output) == ("completed", {"at": "work"})


async def test_output_and_progress_can_be_set_from_a_thread_and_without_await() -> None:
    def handle(payload: Any, ctx: JobContext) -> str:
        ctx.set_progress(33.5)
        ctx.set_output(None)
        ctx.set_progress(0.4)
        return "returned"

    run = await run_handler(handle)
    assert (run.status, run.output, run.progress) == ("completed", None, [34, 0])
