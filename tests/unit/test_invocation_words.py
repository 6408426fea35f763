"""What a durable handler says, and what it forgets to wait for."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from dataqueue import JobContext
from dataqueue.testing import run_handler


@pytest.fixture
def _unawaited() -> Iterator[None]:
    """Python says so, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
        gc.collect()


@pytest.mark.usefixtures("_unawaited")
@pytest.mark.parametrize(
    ("call", "forgotten"),
    [
        (lambda ctx: ctx.run("a", int), "run('a', …)"),
        (lambda ctx: ctx.wait_for(hours=1), "wait_for(…)"),
        (lambda ctx: ctx.wait_until(datetime(2030, 1, 1, tzinfo=UTC)), "wait_until(…)"),
        (lambda ctx: ctx.wait_for_token(uuid4()), "wait_for_token(…)"),
        (lambda ctx: ctx.create_token(), "create_token(…)"),
    ],
    ids=["run", "wait_for", "wait_until", "wait_for_token", "create_token"],
)
async def test_a_forgotten_await_fails_the_attempt_and_names_the_call(call: Any, forgotten: str) -> None:
    async def handle(ctx: JobContext) -> str:
        await ctx.run("before", int)
        call(ctx)
        return "done"

    run = await run_handler(handle)
    assert run.status == "failed"
    assert run.failure is not None
    assert run.failure.message == f"ctx.{forgotten} was never awaited: write `await ctx.{forgotten}`"


async def test_a_task_of_its_own_is_waited_for_in_its_own_time() -> None:
    async def handle(ctx: JobContext) -> int:
        task = asyncio.create_task(ctx.run("a", lambda: 7))
        await asyncio.sleep(0)
        return await task

    assert (await run_handler(handle)).output == 7


async def test_a_step_is_given_a_function_and_not_its_result() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.run("a", len("abc"))  # type: ignore[call-overload]

    run = await run_handler(handle)
    assert run.failure is not None
    assert run.failure.message == "run: step 'a': give the function and its arguments, as in ctx.run('a', f, x)"


async def test_progress_never_goes_back_when_a_handler_goes_over_what_it_has_done() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.set_progress(10)
        await ctx.run("a", int)
        await ctx.set_output("so far")
        await ctx.set_progress(30)
        await ctx.wait_for(hours=1)
        await ctx.set_progress(50)
        await ctx.wait_for(hours=1)
        await asyncio.sleep(0)
        await ctx.set_progress(90)

    run = await run_handler(handle)
    await run.skip_wait()
    await run.skip_wait()
    assert run.status == "completed"
    assert run.progress == sorted(run.progress)
    assert run.progress[-1] == 90


async def test_the_last_word_lands_though_the_handler_says_nothing_new_after_its_wait() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.set_progress(10)
        await ctx.wait_for(hours=1)

    run = await run_handler(handle)
    await run.skip_wait()
    assert (run.status, run.progress[-1]) == ("completed", 10)
