"""Handlers that will not stop: told again, given up on, their slot kept."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import timedelta
from typing import Any

import pytest
import structlog

from dataqueue import HandlerRegistry, JobContext
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import FailureReason, Note
from dataqueue.outcome import Completed, Failed, Gone, Outcome, Released
from dataqueue.processing import executor as executing
from dataqueue.processing.leases import Stop
from dataqueue.work import Work
from tests.unit.executor_bench import SLOTS, Bench, executing_now
from tests.workers.processes import until


@pytest.fixture
def registry() -> HandlerRegistry:
    return HandlerRegistry()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "_TELL_AGAIN", 0.01)


async def test_a_handler_that_takes_too_long_is_cancelled(registry: HandlerRegistry) -> None:
    cleaned_up: list[bool] = []

    @registry.handler("mail")
    async def send() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(True)

    bench = Bench(registry)
    bench.start(timeout_ms=20)
    await bench.executor.idle()
    [outcome] = bench.outcomes
    assert isinstance(outcome, Failed)
    assert (outcome.failure.reason, outcome.failure.message) == (FailureReason.TIMEOUT, "timed out after 20 ms")
    assert outcome.failure.retry_after is not None
    assert cleaned_up == [True]
    assert bench.executor.free == SLOTS


async def test_a_handler_in_time_is_not_disturbed(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    async def send() -> None:
        await asyncio.sleep(0)

    bench = Bench(registry)
    held = bench.start(timeout_ms=30_000)
    await bench.executor.idle()
    assert bench.outcomes == [Completed(None)]
    assert held.timer is not None
    assert held.timer.cancelled()


async def test_a_handler_that_swallows_its_cancellation_is_told_again(registry: HandlerRegistry) -> None:
    told: list[int] = []

    @registry.handler("mail")
    async def send() -> str:
        for n in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append(n)
        return "half of it"

    bench = Bench(registry)
    bench.start(timeout_ms=1)
    await bench.executor.idle()
    assert told == [0, 1, 2]
    [outcome] = bench.outcomes
    assert isinstance(outcome, Failed)


async def test_a_handler_that_never_stops_is_given_up_on_and_keeps_its_slot(registry: HandlerRegistry) -> None:
    finish = asyncio.Event()

    @registry.handler("mail")
    async def send() -> None:
        while not finish.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await finish.wait()

    bench = Bench(registry, grace=0.03)
    with structlog.testing.capture_logs() as lines:
        held = bench.start(timeout_ms=1)
        await bench.executor.idle()
        assert (len(bench.outcomes), bench.executor.free, bench.freed) == (1, SLOTS - 1, 0)
        finish.set()
        await until(lambda: bench.freed, "the slot is free")
    assert (len(bench.outcomes), bench.executor.free) == (1, SLOTS)
    assert [line["job_id"] for line in lines if line["event"] == "job.ignores_cancel"] == [str(held.job.id)]


async def test_a_thread_that_takes_too_long_is_reported_at_once_and_keeps_its_slot(registry: HandlerRegistry) -> None:
    saw_cancel, finish = threading.Event(), threading.Event()

    @registry.handler("mail")
    def send(payload: Any, ctx: JobContext) -> str:
        while not ctx.cancelled:
            finish.wait(0.001)
        saw_cancel.set()
        finish.wait(10)
        return "too late"

    bench = Bench(registry)
    bench.start(timeout_ms=20)
    await bench.executor.idle()
    await until(saw_cancel.is_set, "the handler has seen that it is cancelled")
    [outcome] = bench.outcomes
    assert isinstance(outcome, Failed)
    assert outcome.failure.reason is FailureReason.TIMEOUT
    assert bench.executor.free == SLOTS - 1
    finish.set()
    await until(lambda: bench.freed, "the slot is free")
    assert len(bench.outcomes) == 1


@pytest.mark.parametrize("why", [Stop.LOST, Stop.CANCELLED])
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_lost_or_cancelled_job_has_nothing_to_say(registry: HandlerRegistry, why: Stop, kind: str) -> None:
    finish = threading.Event()

    async def send_async(payload: Any, ctx: JobContext) -> str:
        await asyncio.sleep(60)
        return "done"

    def send(payload: Any, ctx: JobContext) -> str:
        while not ctx.cancelled:
            finish.wait(0.001)
        return "done"

    registry.handler("mail")(send_async if kind == "async" else send)
    bench = Bench(registry)
    bench.stop(bench.start(), why)
    await until(lambda: bench.freed, "the slot is free")
    assert bench.outcomes == [Gone()]


async def test_a_job_stopped_before_its_first_step_still_frees_its_slot(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    async def send() -> None:
        await asyncio.sleep(60)

    bench = Bench(registry)
    held = bench.start()
    bench.stop(held, Stop.LOST)
    await bench.executor.idle()
    assert (bench.outcomes, bench.executor.free) == ([Gone()], SLOTS)


@pytest.mark.parametrize("why", [Stop.LOST, Stop.RELEASED])
async def test_what_a_stopped_handler_returns_does_not_count(registry: HandlerRegistry, why: Stop) -> None:
    @registry.handler("mail")
    async def send() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "half of it"
        return "all"

    bench = Bench(registry)
    held = bench.start()
    await asyncio.sleep(0)
    bench.stop(held, why)
    await bench.executor.idle()
    assert bench.outcomes == [Gone() if why is Stop.LOST else Released()]


async def test_everything_can_be_given_back(registry: HandlerRegistry) -> None:
    finish = threading.Event()

    @registry.handler("async")
    async def send() -> None:
        await asyncio.sleep(60)

    @registry.handler("plain")
    def block() -> None:
        finish.wait(10)

    bench = Bench(registry)
    bench.start(job_type="async")
    bench.start(job_type="plain")
    bench.executor.interrupt_all()
    await until(lambda: bench.outcomes, "the async one has stopped")
    assert (len(bench.outcomes), bench.executor.unsettled) == (1, 1)
    bench.executor.settle_all()
    assert bench.outcomes == [Released(), Released()]
    await bench.executor.idle()
    finish.set()
    await until(lambda: bench.freed == 2, "both slots are free")
    assert len(bench.outcomes) == 2


async def test_stopping_an_isolated_job_cancels_its_isolation(registry: HandlerRegistry) -> None:
    killed: list[bool] = []

    async def isolate(job: ClaimedJob, work: Work) -> Outcome:
        try:
            await asyncio.sleep(60)
        finally:
            killed.append(True)
        return Completed(None)

    registry.handler("mail")(lambda: None)
    bench = Bench(registry, isolate=isolate)
    bench.stop(bench.start(crashes=1), Stop.CANCELLED)
    await bench.executor.idle()
    assert (bench.outcomes, killed) == ([Gone()], [True])


async def test_an_isolation_that_breaks_fails_the_attempt(registry: HandlerRegistry) -> None:
    async def isolate(job: ClaimedJob, work: Work) -> Outcome:
        raise OSError("no room for a process")

    registry.handler("mail")(lambda: None)
    bench = Bench(registry, isolate=isolate)
    bench.start(crashes=1)
    await bench.executor.idle()
    [outcome] = bench.outcomes
    assert isinstance(outcome, Failed)
    assert outcome.failure.retry_after is not None


async def test_threads_are_used_again(registry: HandlerRegistry) -> None:
    threads: set[int] = set()

    @registry.handler("mail")
    def send() -> None:
        threads.add(threading.get_ident())
        assert threading.current_thread().daemon

    bench = Bench(registry)
    for _ in range(20):
        bench.start()
        await bench.executor.idle()
    assert len(bench.outcomes) == 20
    assert len(threads) <= 2


async def test_a_task_of_the_handler_s_own_works_as_in_any_program(registry: HandlerRegistry) -> None:
    @registry.handler("mail")
    async def send() -> list[int]:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
        assert asyncio.current_task() is not None
        return [task.result() for task in tasks]

    bench = Bench(registry)
    bench.start()
    await bench.executor.idle()
    assert [outcome.output for outcome in bench.outcomes if isinstance(outcome, Completed)] == ["[0,1,2]"]


async def test_a_handler_may_be_given_more_time_again_and_again(registry: HandlerRegistry) -> None:
    asked: list[int] = []

    @registry.handler("mail")
    async def send(payload: Any, ctx: JobContext) -> None:
        def more() -> timedelta | int | None:
            asked.append(len(asked))
            return (timedelta(milliseconds=2), 1, None)[asked[-1]]

        ctx.on_timeout(more)
        await asyncio.Event().wait()

    bench = Bench(registry)
    bench.start(timeout_ms=1)
    await bench.executor.idle()
    [outcome] = bench.outcomes
    assert isinstance(outcome, Failed)
    assert (outcome.failure.reason, asked) == (FailureReason.TIMEOUT, [0, 1, 2])
    await until(lambda: bench.notes, "more time is noted")
    assert {note.prolonged_ms for note in bench.notes} <= {1, 2}


@pytest.mark.parametrize("answer", ["soon", 0, -1, float("nan"), timedelta(0), ValueError("broken")])
async def test_a_handler_that_cannot_say_how_much_gets_no_more_time(registry: HandlerRegistry, answer: Any) -> None:
    @registry.handler("mail")
    async def send(payload: Any, ctx: JobContext) -> None:
        def more() -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        ctx.on_timeout(more)
        await asyncio.Event().wait()

    bench = Bench(registry)
    with structlog.testing.capture_logs() as lines:
        bench.start(timeout_ms=1)
        await bench.executor.idle()
    [outcome] = bench.outcomes
    assert isinstance(outcome, Failed)
    assert outcome.failure.reason is FailureReason.TIMEOUT
    assert "job.on_timeout_failed" in {line["event"] for line in lines}


async def test_a_handler_moves_its_own_end(registry: HandlerRegistry) -> None:
    held_at_work, may_end = asyncio.Event(), asyncio.Event()

    @registry.handler("mail")
    async def send(payload: Any, ctx: JobContext) -> None:
        ctx.prolong(60_000)
        held_at_work.set()
        await may_end.wait()

    bench = Bench(registry)
    held = bench.start(timeout_ms=10)
    await held_at_work.wait()
    assert held.timer is not None
    assert held.timer.when() > executing_now() + 50
    may_end.set()
    await bench.executor.idle()
    assert bench.outcomes == [Completed(None)]
    await until(lambda: bench.notes, "it is noted")
    assert bench.notes == [Note(prolonged_ms=60_000)]


async def test_a_job_to_be_killed_on_timeout_runs_in_isolation(registry: HandlerRegistry) -> None:
    isolated: list[ClaimedJob] = []

    async def isolate(job: ClaimedJob, work: Work) -> Outcome:
        isolated.append(job)
        return Completed(None)

    registry.handler("mail")(lambda: None)
    bench = Bench(registry, isolate=isolate)
    held = bench.start(timeout_ms=10_000, force_kill_on_timeout=True)
    await bench.executor.idle()
    assert (isolated, held.timer) == ([held.job], None)
