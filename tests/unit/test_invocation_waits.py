"""A durable handler that waits is ended, and called again once the first of its waits is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dataqueue import JobContext, NotFound
from dataqueue.ids import new_id
from dataqueue.testing import run_handler

DAY = timedelta(days=1)


async def test_waits_without_a_name_count_by_their_place() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.wait_for(hours=1)
        await ctx.wait_for(hours=1, name="by name")
        await ctx.wait_until(datetime(2030, 2, 1, tzinfo=UTC))
        first, second = await ctx.create_token(timeout="1h"), await ctx.create_token()
        await ctx.wait_for_token(second)
        await ctx.wait_for_token(first)

    run, names = await run_handler(handle), []
    while run.status == "waiting":
        names += [wait.name for wait in run.waiting_for]
        if run.waiting_for[0].until is None:
            await run.complete_token()
        else:
            await run.skip_wait()
    assert names == ["wait:1", "by name", "wait:2", "wait:3", "wait:4"]
    assert [token.name for token in run.tokens] == ["token:1", "token:2"]
    assert (run.status, run.attempt) == ("completed", 1)


async def test_a_wait_lasts_from_when_it_is_stored() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.wait_for(weeks=1, days=1, hours=1, minutes=1, seconds=1)

    run = await run_handler(handle)
    end = datetime(2030, 1, 9, 1, 1, 1, tzinfo=UTC)
    assert [wait.until for wait in run.waiting_for] == [end]
    await run.skip_wait()
    assert (run.status, run.clock.now()) == ("completed", end)


async def test_an_instant_that_has_passed_is_not_waited_for_long() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.wait_until(datetime(2029, 1, 1, tzinfo=UTC))

    run = await run_handler(handle)
    assert (run.status, run.invocations) == ("completed", 2)


@pytest.mark.parametrize("output", [None, {"approved": True}, [], "text"])
async def test_a_token_brings_what_it_was_completed_with(output: Any) -> None:
    async def handle(ctx: JobContext) -> Any:
        token = await ctx.create_token(timeout="48h", tags=["approval"])
        answer = await ctx.wait_for_token(token)
        return [token.id, token.callback_url, answer.ok, answer.output, answer.error]

    run = await run_handler(handle)
    [token] = run.tokens
    assert (token.timeout, token.tags, token.status) == (timedelta(hours=48), ("approval",), "waiting")
    await run.complete_token(output)
    assert run.output == [str(token.id), token.callback_url, True, output, None]
    assert len(run.tokens) == 1


async def test_a_token_whose_time_is_up_says_so() -> None:
    async def handle(ctx: JobContext) -> Any:
        answer = await ctx.wait_for_token(await ctx.create_token(timeout=60))
        return [answer.ok, answer.output, answer.error]

    run = await run_handler(handle)
    await run.expire_token()
    assert run.output == [False, None, "the token expired before it was completed"]


async def test_a_token_that_nobody_knows_is_not_waited_for() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.wait_for_token(new_id())

    assert isinstance((await run_handler(handle)).exception, NotFound)


async def test_a_token_of_nobody_s_can_be_waited_for() -> None:
    token_id = new_id()

    async def handle(payload: dict[str, str], ctx: JobContext) -> Any:
        return (await ctx.wait_for_token(payload["token"])).output

    run = await run_handler(handle, {"token": token_id}, tokens=[token_id])
    await run.complete_token(5)
    assert run.output == 5


async def test_except_exception_does_not_catch_a_wait() -> None:
    async def handle(ctx: JobContext) -> str:
        try:
            await ctx.wait_for(DAY)
        except Exception:
            return "caught"
        return "waited"

    run = await run_handler(handle)
    assert run.status == "waiting"
    await run.skip_wait()
    assert run.output == "waited"


async def test_a_handler_that_catches_everything_waits_all_the_same() -> None:
    async def handle(ctx: JobContext) -> str:
        try:
            await ctx.wait_for(DAY)
        except:  # noqa: E722 - the point of it
            try:
                await ctx.run("compensate", lambda: 1)
            except BaseException:
                return "caught"
        return "waited"

    run = await run_handler(handle)
    assert (run.status, run.calls) == ("waiting", {})
    await run.skip_wait()
    assert run.output == "waited"


async def test_a_handler_that_fails_at_a_wait_has_failed() -> None:
    async def handle(ctx: JobContext) -> None:
        try:
            await ctx.wait_for(DAY)
        finally:
            raise KeyError("broken cleanup")

    run = await run_handler(handle)
    assert (run.status, type(run.exception)) == ("failed", KeyError)


async def test_a_wait_cannot_be_inside_a_step() -> None:
    async def handle(ctx: JobContext) -> None:
        await ctx.run("outer", lambda: ctx.wait_for(DAY, name="inner"))

    run = await run_handler(handle)
    assert str(run.exception) == "wait 'inner' is inside step 'outer': a step cannot wait, only the handler can"
