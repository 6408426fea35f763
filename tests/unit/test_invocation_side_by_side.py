"""Parts of a handler that run beside each other: what waits neither puts off nor repeats what works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataqueue import Invalid, JobContext
from dataqueue.testing import DurableRun, prepare_handler, run_handler
from dataqueue.testing.work import MemoryWork

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
Together = Callable[..., Awaitable[list[Any]]]


async def in_a_task_group(*parts: Any) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
    return [task.result() for task in tasks]


async def gathered(*parts: Any) -> list[Any]:
    return list(await asyncio.gather(*parts))


together = pytest.mark.parametrize("together", [gathered, in_a_task_group])


@pytest.fixture
def slow_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("save_step", "token", "callback_url"):
        monkeypatch.setattr(MemoryWork, name, slowly(getattr(MemoryWork, name)))


def slowly(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def answer(*args: Any) -> Any:
        await asyncio.sleep(0.005)
        return await ask(*args)

    return answer


def awaited(run: DurableRun) -> set[str]:
    return {wait.name for wait in run.waiting_for}


@together
@pytest.mark.parametrize("first", ["wait", "step"])
async def test_a_step_beside_a_wait_is_done_and_stored_before_the_job_waits(together: Together, first: str) -> None:
    may_end = asyncio.Event()

    async def slow() -> str:
        await may_end.wait()
        return "done"

    async def handle(ctx: JobContext) -> list[Any]:
        async def work() -> str:
            await ctx.run("slow", slow)
            return await ctx.run("another", lambda: "done, too")

        parts = [ctx.wait_for(DAY), work()]
        return await together(*(parts if first == "wait" else reversed(parts)))

    run = prepare_handler(handle)
    run.begin()
    await run.reached("slow")
    for _ in range(100):
        await asyncio.sleep(0)
    assert run.status == "running"
    may_end.set()
    await run.finish()
    assert (run.status, list(run.steps)) == ("waiting", ["slow", "another"])
    await run.skip_wait()
    assert (run.status, set(run.output)) == ("completed", {None, "done, too"})
    assert run.calls == {"slow": 1, "another": 1}


@together
async def test_waits_beside_each_other_are_parked_together_and_the_first_one_resumes(together: Together) -> None:
    async def handle(ctx: JobContext) -> list[Any]:
        token = await ctx.create_token()
        return await together(ctx.wait_for(DAY), ctx.wait_for(HOUR), ctx.wait_for_token(token))

    run = await run_handler(handle)
    assert awaited(run) == {"wait:1", "wait:2", "wait:3"}
    await run.skip_wait()
    assert awaited(run) == {"wait:1", "wait:3"}
    await run.complete_token(5)
    assert awaited(run) == {"wait:1"}
    await run.skip_wait()
    assert (run.status, run.invocations, run.attempt) == ("completed", 4, 1)
    assert run.output[2]["output"] == 5


@together
async def test_tokens_made_beside_each_other_are_all_waited_for(together: Together) -> None:
    async def handle(ctx: JobContext) -> list[Any]:
        async def approval(who: str) -> Any:
            token = await ctx.create_token(tags=[who])
            await asyncio.sleep(0)
            return [who, (await ctx.wait_for_token(token)).output]

        return await together(*map(approval, ("ann", "bob", "cy")))

    run = await run_handler(handle)
    assert len(run.waiting_for) == 3
    for token in reversed(run.tokens):
        await run.complete_token(f"{token.tags[0]} agrees", token=token)
    assert run.output == [[who, f"{who} agrees"] for who in ("ann", "bob", "cy")]


async def test_a_wait_that_lost_a_race_and_is_cancelled_is_not_waited_for() -> None:
    async def handle(ctx: JobContext) -> str:
        poll = asyncio.create_task(ctx.run("poll", lambda: "answer"))
        limit = asyncio.create_task(ctx.wait_for(HOUR, name="limit"))
        done, others = await asyncio.wait({poll, limit}, return_when=asyncio.FIRST_COMPLETED)
        assert done == {poll}
        for other in others:
            other.cancel()
        await ctx.wait_for(DAY, name="later")
        return poll.result()

    run = await run_handler(handle)
    assert awaited(run) == {"later"}
    await run.skip_wait()
    assert (run.status, run.output) == ("completed", "answer")


@pytest.mark.parametrize("winner", ["answer", "limit"])
@pytest.mark.parametrize("cancels", [True, False])
async def test_a_race_of_waits_is_decided_by_the_first_that_is_over(winner: str, cancels: bool) -> None:
    async def handle(ctx: JobContext) -> str:
        token = await ctx.create_token()
        answer = asyncio.create_task(ctx.wait_for_token(token, name="answer"))
        limit = asyncio.create_task(ctx.wait_for(HOUR, name="limit"))
        done, others = await asyncio.wait({limit, answer}, return_when=asyncio.FIRST_COMPLETED)
        if cancels:
            for other in others:
                other.cancel()
        if answer in done:
            return f"answered {answer.result().output}"
        await ctx.run("give up", lambda: 1)
        return "too late"

    run = await run_handler(handle)
    assert (awaited(run), run.calls) == ({"answer", "limit"}, {})
    await (run.complete_token(1) if winner == "answer" else run.skip_wait())
    assert (run.status, run.output) == ("completed", "answered 1" if winner == "answer" else "too late")


async def test_a_wait_that_is_come_to_a_little_later_is_in_the_race_too() -> None:
    async def handle(ctx: JobContext) -> str:
        async def later() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
            await ctx.wait_for(HOUR, name="later")

        day, hour = asyncio.create_task(ctx.wait_for(DAY, name="day")), asyncio.create_task(later())
        done, others = await asyncio.wait({day, hour}, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        return "a day" if day in done else "an hour"

    run = await run_handler(handle)
    assert awaited(run) == {"day", "later"}
    await run.skip_wait()
    assert run.output == "an hour"


@together
async def test_a_wait_that_is_come_to_a_little_later_is_parked_too(together: Together) -> None:
    async def handle(ctx: JobContext) -> None:
        async def later() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
            await ctx.wait_for(HOUR, name="later")

        await together(ctx.wait_for(DAY, name="day"), later())

    assert awaited(await run_handler(handle)) == {"day", "later"}


@together
async def test_a_wait_for_a_token_that_is_being_made_is_parked_too(slow_storage: None, together: Together) -> None:
    async def handle(ctx: JobContext) -> None:
        async def approval() -> None:
            await ctx.wait_for_token(await ctx.create_token(), name="answer")

        await together(ctx.wait_for(DAY, name="day"), approval())

    assert awaited(await run_handler(handle)) == {"day", "answer"}


async def test_a_token_that_must_be_looked_up_is_in_the_race_too(slow_storage: None) -> None:
    async def handle(payload: dict[str, str], ctx: JobContext) -> str:
        limit = asyncio.create_task(ctx.wait_for(HOUR, name="limit"))
        answer = asyncio.create_task(ctx.wait_for_token(payload["token"], name="answer"))
        done, others = await asyncio.wait({limit, answer}, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        return "answered" if answer in done else "too late"

    outside = "01890a5d-ac96-774b-bcce-b302099a8057"
    run = await run_handler(handle, {"token": outside}, tokens=[outside])
    assert awaited(run) == {"answer", "limit"}
    await run.complete_token()
    assert run.output == "answered"


async def test_a_wait_that_nobody_awaits_does_not_hold_up_the_end() -> None:
    async def handle(ctx: JobContext) -> str:
        forgotten = asyncio.create_task(ctx.wait_for(DAY))
        await asyncio.sleep(0)
        return f"done {forgotten.done()}"

    assert (await run_handler(handle)).output == "done False"


async def test_nothing_is_logged_of_a_suspension(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(ctx: JobContext) -> None:
        async def work() -> None:
            await asyncio.sleep(0.001)
            await ctx.run("late", lambda: 1)

        tasks = {asyncio.create_task(ctx.wait_for(DAY)), asyncio.create_task(work())}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.01)

    with caplog.at_level(logging.ERROR):
        assert (await run_handler(handle)).status == "waiting"
        await asyncio.sleep(0.01)
    assert caplog.messages == []


@together
async def test_a_failure_beside_a_wait_is_the_failure(together: Together) -> None:
    def charge() -> None:
        raise ConnectionError("away")

    async def handle(ctx: JobContext) -> None:
        await together(ctx.wait_for(DAY), ctx.run("charge", charge))

    run = await run_handler(handle)
    assert (run.status, run.failure and run.failure.type) == ("failed", "ConnectionError")


async def test_a_task_group_that_fails_while_it_is_ended_at_a_wait_has_failed() -> None:
    async def handle(ctx: JobContext) -> None:
        async def broken() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise KeyError("cleanup")

        await in_a_task_group(ctx.wait_for(DAY), broken())

    run = await run_handler(handle)
    assert (run.status, run.failure and run.failure.type) == ("failed", "KeyError")


async def test_only_the_first_in_a_task_may_go_without_a_name() -> None:
    async def handle(ctx: JobContext) -> None:
        async def part(step: str) -> None:
            await ctx.run(step, lambda: 1)
            await ctx.wait_for(HOUR)

        await asyncio.gather(part("a"), part("b"))

    run = await run_handler(handle)
    assert isinstance(run.exception, Invalid)
    assert str(run.exception) == ("this wait is beside other parts of the handler, and not the first: give it a name")


async def test_results_beside_each_other_are_not_mixed_up_when_they_are_replayed() -> None:
    async def handle(ctx: JobContext) -> list[Any]:
        async def part(n: int) -> list[Any]:
            async def slow() -> int:
                await asyncio.sleep((5 - n) / 1000)
                return n

            first = await ctx.run(f"{n} first", slow)
            await ctx.wait_for(HOUR * n, name=f"{n} wait")
            return [first, await ctx.run(f"{n} second", lambda: n * 10)]

        return list(await asyncio.gather(*map(part, range(1, 5))))

    run = await run_handler(handle)
    while run.status == "waiting":
        await run.skip_wait()
    assert run.output == [[n, n * 10] for n in range(1, 5)]
    assert set(run.calls.values()) == {1}


# Handlers as trees: a step, a wait of so many hours, or parts in a row or side by side.
TREES = st.recursive(
    st.one_of(st.just("step"), st.just("thread"), st.integers(1, 5)),
    lambda parts: st.tuples(st.sampled_from(["row", "gather", "group"]), st.lists(parts, max_size=4)),
    max_leaves=12,
)


async def play(tree: Any, ctx: JobContext, path: str = "p") -> Any:
    match tree:
        case "step":

            async def step() -> str:
                await asyncio.sleep(0)
                return path

            return await ctx.run(path, step)
        case "thread":
            return await ctx.run(path, lambda: path)
        case int():
            return await ctx.wait_for(hours=tree, name=path)
        case "row", parts:
            return [await play(part, ctx, f"{path}.{n}") for n, part in enumerate(parts)]
        case kind, parts:
            run = gathered if kind == "gather" else in_a_task_group
            return await run(*(play(part, ctx, f"{path}.{n}") for n, part in enumerate(parts)))


def result_of(tree: Any, path: str = "p") -> Any:
    match tree:
        case "step" | "thread":
            return path
        case int():
            return None
        case _, parts:
            return [result_of(part, f"{path}.{n}") for n, part in enumerate(parts)]


def hours_of(tree: Any) -> Any:
    """How long it takes when nothing is put off."""
    match tree:
        case "step" | "thread":
            return 0
        case int():
            return tree
        case "row", parts:
            return sum(map(hours_of, parts))
        case _, parts:
            return max(map(hours_of, parts), default=0)


@settings(deadline=None, max_examples=200)
@given(tree=TREES)
def test_whatever_runs_beside_what_each_step_is_done_once_and_nothing_is_put_off(tree: Any) -> None:
    async def handle(ctx: JobContext) -> Any:
        return await play(tree, ctx)

    async def main() -> None:
        run = await run_handler(handle)
        began = run.clock.now()
        while run.status == "waiting":
            await run.skip_wait()
        assert (run.status, run.output, run.attempt) == ("completed", result_of(tree), 1), run
        assert set(run.calls.values()) <= {1}
        assert run.clock.now() - began == timedelta(hours=hours_of(tree))

    asyncio.run(main())
