"""A job in a process of its own has the same context as in the worker's: steps, waits, tokens, time."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import FailureReason, Json, Note
from dataqueue.domain.steps import Step, StepKind, StepOutcome, Wait
from dataqueue.errors import DataQueueError, Invalid, LeaseLost, NotFound, StorageRefused, StorageUnavailable
from dataqueue.ids import new_id
from dataqueue.outcome import Completed, Failed, Gone, Outcome, Suspended
from tests.workers.fake_work import FakeWork, a_job
from workers.isolation import Isolation

ROOT = Path(__file__).parents[2]
MODULES = ["tests.workers.durable_handlers"]
GRACE = 0.3


@pytest.fixture(autouse=True)
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


async def run(job: ClaimedJob, work: FakeWork) -> Outcome:
    return await Isolation(MODULES, grace=GRACE)(job, work)


def output_of(outcome: Outcome) -> Any:
    assert isinstance(outcome, Completed), outcome
    return json.loads(outcome.output or "null")


def assert_timed_out(outcome: Outcome) -> None:
    assert isinstance(outcome, Failed)
    assert outcome.failure.reason is FailureReason.TIMEOUT
    assert outcome.failure.retry_after == timedelta(seconds=1.5)


async def test_steps_are_stored_in_the_worker_and_notes_arrive_in_order() -> None:
    job, work = a_job("steps"), FakeWork()
    outcome = await run(job, work)
    assert output_of(outcome) == [f"{job.id}:first", 7]
    assert [(step.name, step.value) for step in work.log] == [("first", Json(f'"{job.id}:first"')), ("second", "7")]
    assert [note.progress for note in work.notes] == [50, None, None]
    assert json.loads(work.notes[-1].output or "") == [f"{job.id}:first", 7]


async def test_what_earlier_invocations_have_done_is_not_done_again() -> None:
    kept = Step(name="first", kind=StepKind.RUN, outcome=StepOutcome.OK, value=Json('"kept ä"'))
    work = FakeWork(log=[kept])
    assert output_of(await run(a_job("steps", has_steps=True), work)) == ["kept ä", 7]
    assert [step.name for step in work.log] == ["first", "second"]


async def test_a_large_step_log_comes_whole() -> None:
    log = [
        Step(name=f"s{n}", kind=StepKind.RUN, outcome=StepOutcome.OK, value=Json(json.dumps("x" * 200_000)))
        for n in range(15)
    ]
    log.append(Step(name="first", kind=StepKind.RUN, outcome=StepOutcome.OK, value=Json('"kept"')))
    assert output_of(await run(a_job("steps", has_steps=True), FakeWork(log=log))) == ["kept", 7]


async def test_calls_that_run_side_by_side_are_served_side_by_side() -> None:
    all_there = asyncio.Event()
    work = FakeWork()

    async def pause() -> None:
        if work.saving_at_a_time == 20:
            all_there.set()
        await all_there.wait()

    work.pause = pause
    assert output_of(await run(a_job("gathers", 20), work)) == list(range(20))
    assert work.most_at_a_time == 20


async def test_a_wait_suspends_the_job_with_what_it_waits_for() -> None:
    work = FakeWork()
    outcome = await run(a_job("waits"), work)
    assert outcome == Suspended((Wait(name="rest", delay=timedelta(hours=36)),))
    assert [step.name for step in work.log] == ["before"]


async def test_a_wait_that_is_over_is_passed() -> None:
    over = [
        Step(name="before", kind=StepKind.RUN, outcome=StepOutcome.OK, value=Json("1")),
        Step(name="rest", kind=StepKind.SLEEP, outcome=StepOutcome.OK),
    ]
    assert output_of(await run(a_job("waits", has_steps=True), FakeWork(log=over))) == "after the wait"


async def test_a_token_is_made_and_waited_for() -> None:
    work = FakeWork()
    outcome = await run(a_job("token"), work)
    (token_id,) = work.tokens
    assert outcome == Suspended((Wait(name="wait:1", token_id=token_id),))
    assert json.loads(work.log[1].value or "") == f"https://queue.example/callbacks/{token_id}"


async def test_a_token_that_nobody_knows_is_not_found() -> None:
    unknown = new_id()
    assert output_of(await run(a_job("asks_for_token", str(unknown)), FakeWork())) == f"no token {unknown}"


@pytest.mark.parametrize(
    "error",
    [
        Invalid("not that"),
        NotFound("nowhere"),
        LeaseLost("taken"),
        StorageRefused("refused ä"),
        StorageUnavailable("away", outcome_unknown=True),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_is_raised_in_the_handler_as_it_was_in_the_worker(error: DataQueueError) -> None:
    caught = output_of(await run(a_job("says_what_it_caught"), FakeWork(refusing=error)))
    assert caught == [type(error).__name__, str(error), True if isinstance(error, StorageUnavailable) else None]


async def test_a_handler_that_does_not_catch_a_lost_lease_is_gone() -> None:
    assert await run(a_job("saves"), FakeWork(refusing=LeaseLost("taken"))) == Gone()


async def test_an_error_nobody_foresaw_fails_the_job_in_words() -> None:
    outcome = await run(a_job("saves"), FakeWork(refusing=ZeroDivisionError("by zero")))
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "ZeroDivisionError: by zero"


async def test_a_handler_is_asked_for_more_time_until_it_wants_none() -> None:
    work = FakeWork()
    started = asyncio.get_running_loop().time()
    outcome = await run(a_job("asks_for_more", {"more": [400, 300, None]}, timeout_ms=200), work)
    assert_timed_out(outcome)
    assert work.notes == [Note(prolonged_ms=400), Note(prolonged_ms=300)]
    assert asyncio.get_running_loop().time() - started > 0.9


async def test_time_that_is_prolonged_again_and_again_is_not_up() -> None:
    work = FakeWork()
    assert output_of(await run(a_job("prolongs", {"each": 0.25}, timeout_ms=400), work)) == "in time"
    assert work.notes == [Note(prolonged_ms=400)] * 3


async def test_a_plain_function_prolongs_from_its_thread() -> None:
    work = FakeWork()
    assert output_of(await run(a_job("prolongs_in_thread", {"each": 0.4}, timeout_ms=300), work)) == "in time"
    assert work.notes == [Note(prolonged_ms=60_000)] * 3


@pytest.mark.parametrize("job_type", ["deaf", "blocks_its_loop"])
async def test_a_handler_that_does_not_stop_is_given_up_on(job_type: str) -> None:
    assert_timed_out(await run(a_job(job_type, timeout_ms=200), FakeWork()))


async def test_a_plain_function_sees_that_its_time_is_up(tmp_path: Path) -> None:
    outcome = await Isolation(MODULES, grace=20)(a_job("looks", {"folder": str(tmp_path)}, timeout_ms=200), FakeWork())
    assert_timed_out(outcome)
    assert (tmp_path / "cleaned up").exists()
