"""Processing to waiting, or on at once where what is waited for has come already."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EventName
from dataqueue.domain.job import Job, JobStatus, Json, Lease, Reported
from dataqueue.domain.steps import NewStep, Step, StepKind, StepOutcome, Wait
from dataqueue.errors import IllegalTransition
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    AN_HOUR,
    FOR_NOW,
    HOUR,
    LEASE,
    MAX_CRASHES,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_wait_for,
    claim,
    claim_this,
    data_of_last,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_job_and_lease,
    given_token,
    given_waiting_job,
    new_job,
    save,
    steps_of,
    told,
)

REST = Wait(name="rest", delay=MINUTE)


async def suspended(storage: Storage, lease: Lease, *waits: Wait) -> Job:
    """The job as read after it was suspended."""
    jobs = storage.jobs(NAMESPACE)
    assert await jobs.suspend([lease], waits=[waits]) == [Reported.OK]
    return await jobs.get(lease.job_id)


async def test_a_suspended_job_waits_free_of_its_worker(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage, tags=("a",))
    clock.advance(SECOND)
    job = await suspended(storage, held.lease, REST)
    assert (job.status, job.attempts, job.pending_reason) == (JobStatus.WAITING, 1, None)
    assert (job.wait_until, job.wait_token_id) == (clock.now() + MINUTE, None)
    assert (job.locked_by, job.locked_at, job.lease_expires_at) == (None, None, None)
    assert (job.updated_at, job.completed_at, job.next_attempt_at) == (clock.now(), None, None)
    assert await claim(storage.jobs(NAMESPACE), held.job_type) == []
    event = (await events_of(storage, held.id))[-1]
    assert (event.event, event.job_type, event.tags) == (EventName.WAITING, held.job_type, ("a",))
    until = (clock.now() + MINUTE).isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert json.loads(event.data) == {"wait_until": until, "token_id": None}


async def test_a_wait_until_an_instant_and_one_for_a_while_are_the_same(storage: Storage, clock: ManualClock) -> None:
    for wait in (Wait(name="w", until=clock.now() + MINUTE), Wait(name="w", delay=MINUTE)):
        held = await given_claimed_job(storage)
        assert (await suspended(storage, held.lease, wait)).wait_until == clock.now() + MINUTE
        [step] = await steps_of(storage, held.id)
        assert step == Step(name="w", kind=StepKind.SLEEP, outcome=None, until=clock.now() + MINUTE)


async def test_a_job_that_waits_for_a_token_says_for_which(storage: Storage) -> None:
    token, held = await given_token(storage), await given_claimed_job(storage)
    job = await suspended(storage, held.lease, a_wait_for(token))
    assert (job.status, job.wait_until, job.wait_token_id) == (JobStatus.WAITING, None, token.id)
    assert await data_of_last(storage, held.id) == {"wait_until": None, "token_id": str(token.id)}
    [step] = await steps_of(storage, held.id)
    assert step == Step(name="approve", kind=StepKind.TOKEN, outcome=None, token_id=token.id)


async def test_of_several_waits_the_first_end_counts_and_all_are_logged(storage: Storage, clock: ManualClock) -> None:
    token, held = await given_token(storage), await given_claimed_job(storage)
    job = await suspended(storage, held.lease, AN_HOUR, a_wait_for(token), REST)
    assert (job.wait_until, job.wait_token_id) == (clock.now() + MINUTE, token.id)
    steps = await steps_of(storage, held.id)
    assert [(step.name, step.outcome) for step in steps] == [("an hour", None), ("approve", None), ("rest", None)]
    data = await data_of_last(storage, held.id)
    assert (data["wait_until"] is not None, data["token_id"]) == (True, str(token.id))


@pytest.mark.parametrize(
    "wait", [Wait(name="w", delay=timedelta()), Wait(name="w", delay=-SECOND)], ids=["now", "in the past"]
)
async def test_a_sleep_that_is_over_resumes_the_job_at_once(storage: Storage, wait: Wait) -> None:
    held = await given_claimed_job(storage)
    job = await suspended(storage, held.lease, wait)
    assert (job.status, job.attempts, job.wait_until, job.locked_by) == (JobStatus.PENDING, 1, None, None)
    assert (await told(storage, held.id))[-2:] == [EventName.PROCESSING, EventName.RESUMED]
    assert await data_of_last(storage, held.id) == {}
    again = await claim_this(storage.jobs(NAMESPACE), held)
    assert (again.attempts, again.invocation, again.has_steps) == (1, 2, True)


@pytest.mark.parametrize(
    ("end", "outcome", "value"),
    [
        ("completed", StepOutcome.OK, Json('"yes"')),
        ("expired", StepOutcome.TIMEOUT, None),
        ("none", StepOutcome.TIMEOUT, None),
    ],
)
async def test_a_token_that_has_ended_is_not_waited_for_and_its_end_is_in_the_step(
    storage: Storage, clock: ManualClock, end: str, outcome: StepOutcome, value: Json | None
) -> None:
    token_id = new_id() if end == "none" else (await given_token(storage, timeout=MINUTE)).id
    if end == "completed":
        await storage.tokens(NAMESPACE).complete(token_id, output=Json('"yes"'))
    clock.advance(MINUTE)
    await storage.upkeep.expire_tokens(limit=10)
    held = await given_claimed_job(storage)
    job = await suspended(storage, held.lease, AN_HOUR, a_wait_for(token_id))
    assert (job.status, job.wait_until, job.wait_token_id) == (JobStatus.PENDING, None, None)
    step = (await steps_of(storage, held.id))[-1]
    assert step == Step(name="approve", kind=StepKind.TOKEN, outcome=outcome, value=value, token_id=token_id)
    assert (await told(storage, held.id))[-1] is EventName.RESUMED


async def test_a_token_whose_time_is_up_is_waited_for_until_somebody_ends_it(
    storage: Storage, clock: ManualClock
) -> None:
    token, held = await given_token(storage, timeout=SECOND), await given_claimed_job(storage)
    clock.advance(MINUTE)
    assert (await suspended(storage, held.lease, a_wait_for(token))).status is JobStatus.WAITING
    assert (await storage.upkeep.stage(limit=10)).count == 1
    assert (await storage.jobs(NAMESPACE).get(held.id)).status is JobStatus.PENDING


async def test_a_token_of_another_namespace_is_as_good_as_none(storage: Storage) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"d", prefix="dq_x")
    token, jobs, job = await given_token(storage), storage.jobs("other"), new_job()
    await jobs.enqueue([[job]])
    held = await claim_this(jobs, job)
    assert await jobs.suspend([held.lease], waits=[[a_wait_for(token)]]) == [Reported.OK]
    assert (await jobs.get(job.id)).status is JobStatus.PENDING
    assert [step.outcome for step in await steps_of(storage, job.id, namespace="other")] == [StepOutcome.TIMEOUT]
    assert (await storage.tokens(NAMESPACE).complete(token.id, output=Json("1"))).woken == frozenset()


async def test_a_wait_that_is_in_the_log_goes_on_and_its_end_does_not_move(
    storage: Storage, clock: ManualClock
) -> None:
    jobs = storage.jobs(NAMESPACE)
    held, until = await given_waiting_job(storage, REST, Wait(name="soon", delay=SECOND)), clock.now() + MINUTE
    clock.advance(SECOND)
    await storage.upkeep.stage(limit=10)
    again = await claim_this(jobs, held)
    assert (await suspended(storage, again.lease, replace(REST, delay=HOUR))).wait_until == until
    clock.advance(MINUTE)
    await storage.upkeep.stage(limit=10)
    last = await claim_this(jobs, held)
    assert (await suspended(storage, last.lease, REST)).status is JobStatus.PENDING


async def test_a_name_that_stands_for_a_token_goes_on_standing_for_it(storage: Storage, clock: ManualClock) -> None:
    jobs, first, other = storage.jobs(NAMESPACE), await given_token(storage), await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(first), Wait(name="soon", delay=SECOND))
    clock.advance(SECOND)
    await storage.upkeep.stage(limit=10)
    again = await claim_this(jobs, held)
    assert (await suspended(storage, again.lease, a_wait_for(other))).wait_token_id == first.id
    assert (await storage.tokens(NAMESPACE).complete(other.id, output=Json("2"))).woken == frozenset()
    assert (await storage.tokens(NAMESPACE).complete(first.id, output=Json("1"))).woken == {held.job_type}


async def test_what_a_name_has_of_another_kind_is_passed_over(storage: Storage, clock: ManualClock) -> None:
    token = await given_token(storage)
    held = await given_claimed_job(storage)
    await save(storage, held.lease, NewStep(name="charge", value=Json("1")))
    before = await steps_of(storage, held.id)
    job = await suspended(storage, held.lease, Wait(name="charge", delay=-SECOND), AN_HOUR)
    assert (job.status, job.wait_until) == (JobStatus.WAITING, clock.now() + HOUR)
    assert (await steps_of(storage, held.id))[:1] == before

    clock.advance(HOUR)
    await storage.upkeep.stage(limit=10)
    again = await claim_this(storage.jobs(NAMESPACE), held)
    job = await suspended(storage, again.lease, a_wait_for(token, name="charge"), a_wait_for(token, name="an hour"))
    assert job.status is JobStatus.PENDING, "nothing is left to wait for"
    assert len(await steps_of(storage, held.id)) == 2


async def test_without_a_wait_a_job_goes_on_at_once(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    assert (await suspended(storage, held.lease)).status is JobStatus.PENDING
    assert (await claim_this(storage.jobs(NAMESPACE), held)).attempts == 1


async def test_of_two_waits_of_one_name_the_first_counts(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    job = await suspended(storage, held.lease, AN_HOUR, replace(AN_HOUR, delay=SECOND))
    assert job.wait_until == clock.now() + HOUR


async def test_a_cancel_that_was_requested_ends_the_job_instead(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    job = await suspended(storage, held.lease, AN_HOUR)
    assert (job.status, job.cancel_requested, job.wait_until) == (JobStatus.CANCELLED, False, None)
    assert (await told(storage, held.id))[-1] is EventName.CANCELLED
    assert await jobs.suspend([held.lease], waits=[[AN_HOUR]]) == [Reported.DUPLICATE]


async def test_a_waiting_job_can_be_cancelled_and_not_completed_edited_or_deleted(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_waiting_job(storage, AN_HOUR)
    for refused in (jobs.edit([held.id], JobEdit(priority=1)), jobs.delete([held.id]), jobs.retry([held.id])):
        with pytest.raises(IllegalTransition):
            await refused
    await jobs.cancel([held.id])
    job = await jobs.get(held.id)
    assert (job.status, job.wait_until) == (JobStatus.CANCELLED, None)
    assert [step.name for step in await steps_of(storage, held.id)] == ["an hour"]


@pytest.mark.parametrize("how", ["waits", "resumes", "was woken"])
async def test_the_same_suspend_again_is_a_duplicate_and_changes_nothing(
    storage: Storage, clock: ManualClock, how: str
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    wait = Wait(name="w", delay=timedelta() if how == "resumes" else MINUTE)
    await suspended(storage, held.lease, wait)
    clock.advance(MINUTE)
    if how == "was woken":
        await storage.upkeep.stage(limit=10)
    job, events = await jobs.get(held.id), await told(storage, held.id)
    for _ in range(2):
        assert await jobs.suspend([held.lease], waits=[[wait]]) == [Reported.DUPLICATE]
    assert (await jobs.get(held.id), await told(storage, held.id)) == (job, events)
    await storage.upkeep.stage(limit=10)
    await claim_this(jobs, held)
    assert await jobs.suspend([held.lease], waits=[[wait]]) == [Reported.LOST]


@pytest.mark.parametrize("other", ["complete", "fail", "release"])
async def test_another_report_after_a_suspend_is_lost_and_a_suspend_after_another_report_too(
    storage: Storage, other: str
) -> None:
    jobs = storage.jobs(NAMESPACE)

    async def report(lease: Lease) -> list[Reported]:
        match other:
            case "complete":
                return await jobs.complete([lease], outputs=[None])
            case "fail":
                return await jobs.fail([lease], failures=[FOR_NOW])
            case _:
                return await jobs.release([lease])

    for status in (JobStatus.WAITING, JobStatus.PENDING):
        held = await given_claimed_job(storage)
        await suspended(storage, held.lease, *([AN_HOUR] if status is JobStatus.WAITING else []))
        job = await jobs.get(held.id)
        assert await report(held.lease) == [Reported.LOST]
        assert await jobs.get(held.id) == job
    held = await given_claimed_job(storage)
    await report(held.lease)
    job = await jobs.get(held.id)
    assert await jobs.suspend([held.lease], waits=[[AN_HOUR]]) == [Reported.LOST]
    assert await jobs.get(held.id) == job
    assert await steps_of(storage, held.id) == []


@pytest.mark.parametrize("status", [status for status in JobStatus if not status.is_terminal])
async def test_a_lease_that_is_not_held_suspends_nothing_and_logs_nothing(storage: Storage, status: JobStatus) -> None:
    job, lease = await given_job_and_lease(storage, status=status)
    steps = await steps_of(storage, job.id)
    stale = replace(lease, invocation=lease.invocation + 1)
    assert await storage.jobs(NAMESPACE).suspend([stale], waits=[[REST]]) == [Reported.LOST]
    assert await storage.jobs(NAMESPACE).get(job.id) == job
    assert await steps_of(storage, job.id) == steps


async def test_a_reclaimed_job_cannot_be_suspended_by_its_former_worker(storage: Storage, clock: ManualClock) -> None:
    jobs, late = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    assert await jobs.suspend([late.lease], waits=[[AN_HOUR]]) == [Reported.LOST]
    again = await claim_this(jobs, late)
    assert await jobs.suspend([late.lease], waits=[[AN_HOUR]]) == [Reported.LOST]
    assert await jobs.suspend([again.lease], waits=[[AN_HOUR]]) == [Reported.OK]


async def test_a_batch_answers_for_each_lease_in_its_order(storage: Storage, clock: ManualClock) -> None:
    jobs, token = storage.jobs(NAMESPACE), await given_token(storage)
    sleeping, waiting, going_on, before = await given_claimed_jobs(storage, 4)
    await jobs.suspend([before.lease], waits=[[AN_HOUR]])
    assert await jobs.suspend(
        [waiting.lease, Lease(new_id(), 1), before.lease, going_on.lease, Lease(sleeping.id, 5), sleeping.lease],
        waits=[[a_wait_for(token)], [AN_HOUR], [AN_HOUR], [], [REST], [AN_HOUR, REST]],
    ) == [Reported.OK, Reported.LOST, Reported.DUPLICATE, Reported.OK, Reported.LOST, Reported.OK]
    assert (await jobs.get(waiting.id)).wait_token_id == token.id
    assert (await jobs.get(going_on.id)).status is JobStatus.PENDING
    assert (await jobs.get(sleeping.id)).wait_until == clock.now() + MINUTE
    assert await jobs.suspend([], waits=[]) == []


async def test_a_hundred_waits_use_up_no_attempt(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, max_attempts=1)
    for number in range(100):
        assert (held.attempts, held.invocation) == (1, number + 1)
        await suspended(storage, held.lease, Wait(name=f"rest {number}", delay=SECOND if number % 2 else timedelta()))
        clock.advance(SECOND)
        await storage.upkeep.stage(limit=10)
        held = await claim_this(jobs, held)
    assert await jobs.complete([held.lease], outputs=[None]) == [Reported.OK]
    job = await jobs.get(held.id)
    assert (job.attempts, job.max_attempts, job.crashes) == (1, 1, 0)


async def test_a_failure_after_a_wait_uses_up_the_attempt_that_the_wait_did_not(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_waiting_job(storage, REST, max_attempts=2)
    clock.advance(MINUTE)
    await storage.upkeep.stage(limit=10)
    second = await claim_this(jobs, held)
    await jobs.fail([second.lease], failures=[replace(FOR_NOW, retry_after=timedelta())])
    third = await claim_this(jobs, held)
    assert third.attempts == 2
    assert (await suspended(storage, third.lease, REST)).status is JobStatus.PENDING, "its end does not move"


async def test_what_a_resumed_job_gives_back_is_no_attempt(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_waiting_job(storage, REST)
    clock.advance(MINUTE)
    await storage.upkeep.stage(limit=10)
    await jobs.release([(await claim_this(jobs, held)).lease])
    assert (await jobs.get(held.id)).attempts == 1
    await claim_this(jobs, held)
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    assert ((await jobs.get(held.id)).attempts, (await jobs.get(held.id)).crashes) == (1, 1)
    assert (await claim_this(jobs, held)).attempts == 1


async def test_of_many_suspends_at_once_one_counts(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    answers = await asyncio.gather(*(jobs.suspend([held.lease], waits=[[AN_HOUR]]) for _ in range(20)))
    assert sorted(answer for [answer] in answers) == [Reported.DUPLICATE] * 19 + [Reported.OK]
    assert (await told(storage, held.id)).count(EventName.WAITING) == 1
