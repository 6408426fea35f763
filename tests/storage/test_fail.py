"""Processing to pending for another attempt, or to failed with its dead letter."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import EMPTY_OBJECT, NULL, Failure, FailureReason, JobStatus, Json, Lease, Reported
from dataqueue.ids import is_uuid7, new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    FOR_NOW,
    HOUR,
    LEASE,
    MAX_CRASHES,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_type,
    claim,
    claim_this,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    told,
)
from tests.storage.texts import JSON_TEXTS

AT_ONCE = replace(FOR_NOW, retry_after=timedelta())


async def fail(storage: Storage, held: ClaimedJob, failure: Failure) -> None:
    assert await storage.jobs(NAMESPACE).fail([held.lease], failures=[failure]) == [Reported.OK]


async def test_a_failure_with_an_attempt_left_waits_for_the_next_one(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    run_at = clock.now()
    clock.advance(SECOND)
    await fail(storage, held, FOR_NOW)
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.status, job.pending_reason, job.attempts) == (JobStatus.PENDING, "retry", 1)
    assert (job.next_attempt_at, job.run_at) == (clock.now() + MINUTE, run_at)
    assert (job.failure_reason, job.last_failed_at) == (FailureReason.HANDLER_ERROR, clock.now())
    assert (job.locked_by, job.locked_at, job.lease_expires_at) == (None, None, None)
    assert (job.completed_at, job.updated_at) == (None, clock.now())


@pytest.mark.parametrize(
    "delay", [timedelta(microseconds=1), timedelta(seconds=0.25), timedelta(days=365), timedelta(seconds=119.999999)]
)
async def test_the_next_attempt_is_after_the_delay_and_not_before(
    storage: Storage, clock: ManualClock, delay: timedelta
) -> None:
    held = await given_claimed_job(storage)
    await fail(storage, held, replace(FOR_NOW, retry_after=delay))
    assert (await storage.jobs(NAMESPACE).get(held.id)).next_attempt_at == clock.now() + delay
    clock.advance(delay - timedelta(microseconds=1))
    await storage.upkeep.stage(limit=10)
    assert await claim(storage.jobs(NAMESPACE), held.job_type) == []
    clock.advance(timedelta(microseconds=1))
    await storage.upkeep.stage(limit=10)
    again = await claim_this(storage.jobs(NAMESPACE), held)
    assert (again.attempts, again.invocation) == (2, 2)


async def test_a_failure_to_be_tried_again_at_once_is_ready(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    await fail(storage, held, AT_ONCE)
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.status, job.pending_reason, job.next_attempt_at) == (JobStatus.PENDING, None, None)
    assert (await claim_this(storage.jobs(NAMESPACE), held)).attempts == 2


async def test_a_failure_without_an_attempt_left_is_final(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage, max_attempts=2)
    await fail(storage, held, AT_ONCE)
    again = await claim_this(storage.jobs(NAMESPACE), held)
    clock.advance(SECOND)
    await fail(storage, again, AT_ONCE)
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.status, job.attempts, job.pending_reason, job.next_attempt_at) == (JobStatus.FAILED, 2, None, None)
    assert job.completed_at == job.last_failed_at == job.updated_at == clock.now()
    assert (job.locked_by, job.locked_at, job.lease_expires_at) == (None, None, None)


async def test_a_failure_that_is_not_worth_another_attempt_is_final_at_the_first(storage: Storage) -> None:
    held = await given_claimed_job(storage, max_attempts=100)
    await fail(storage, held, FOR_GOOD)
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.status, job.attempts, job.max_attempts) == (JobStatus.FAILED, 1, 100)


@pytest.mark.parametrize("reason", [reason for reason in FailureReason if reason is not FailureReason.CRASHED])
async def test_the_reason_of_a_failure_is_kept(storage: Storage, reason: FailureReason) -> None:
    held = await given_claimed_job(storage)
    await fail(storage, held, Failure("no", reason=reason))
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.failure_reason, job.attempts) == (reason, 1)


async def test_each_failure_is_in_the_history_oldest_first(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    began = clock.now()
    await fail(storage, held, Failure("first", type="ValueError", retry_after=timedelta()))
    again = await claim_this(storage.jobs(NAMESPACE), held)
    clock.advance(timedelta(seconds=1, microseconds=4))
    await fail(storage, again, Failure("second", reason=FailureReason.TIMEOUT))
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert began.isoformat() == "2030-01-01T00:00:00+00:00"
    assert json.loads(job.error_history) == [
        {"message": "first", "type": "ValueError", "at": "2030-01-01T00:00:00.000000Z", "attempt": 1},
        {"message": "second", "type": "Error", "at": "2030-01-01T00:00:01.000004Z", "attempt": 2},
    ]
    assert job.failure_reason is FailureReason.TIMEOUT


async def test_messages_come_back_as_they_were(storage: Storage) -> None:
    messages = ["", 'say "hi"', "a\\b\n\tc", "żółć 漢字 🐘", "'); --", "%s :at $1", "\x01\x1f\x7f", "x" * 10_000]
    held = await given_claimed_jobs(storage, len(messages))
    failures = [Failure(message, type=message[:50]) for message in messages]
    await storage.jobs(NAMESPACE).fail([job.lease for job in held], failures=failures)
    for job, message in zip(held, messages, strict=True):
        [entry] = json.loads((await storage.jobs(NAMESPACE).get(job.id)).error_history)
        assert (entry["message"], entry["type"]) == (message, message[:50])
        assert json.loads((await events_of(storage, job.id))[-1].data)["message"] == message


async def test_the_history_holds_the_last_hundred_failures(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, max_attempts=1000)
    for number in range(1, 104):
        await fail(storage, held, replace(AT_ONCE, message=f"failure {number}"))
        held = await claim_this(jobs, held)
    history = json.loads((await jobs.get(held.id)).error_history)
    assert [entry["message"] for entry in history] == [f"failure {number}" for number in range(4, 104)]
    assert [entry["attempt"] for entry in history] == list(range(4, 104))


async def test_a_failure_is_told_with_all_that_is_known_of_it(storage: Storage, clock: ManualClock) -> None:
    retried, final = await given_claimed_jobs(storage, 2)
    clock.advance(SECOND)
    failures = [replace(FOR_NOW, reason=FailureReason.TIMEOUT), FOR_GOOD]
    await storage.jobs(NAMESPACE).fail([retried.lease, final.lease], failures=failures)
    events = [(await events_of(storage, job.id))[-1] for job in (retried, final)]
    assert [event.event for event in events] == [EventName.FAILED] * 2
    assert [event.at for event in events] == [clock.now()] * 2
    assert [json.loads(event.data) for event in events] == [
        {
            "attempt": 1,
            "message": FOR_NOW.message,
            "reason": "timeout",
            "will_retry": True,
            "next_attempt_at": "2030-01-01T00:01:01.000000Z",
        },
        {
            "attempt": 1,
            "message": FOR_GOOD.message,
            "reason": "handler_error",
            "will_retry": False,
            "next_attempt_at": None,
        },
    ]


async def test_a_batch_decides_for_each_job_by_itself(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    retried, final, doomed, done = await given_claimed_jobs(storage, 4)
    await jobs.cancel([doomed.id])
    await jobs.complete([done.lease], outputs=[None])
    leases = [done.lease, final.lease, Lease(new_id(), 1), doomed.lease, retried.lease]
    answers = await jobs.fail(leases, failures=[FOR_NOW, FOR_GOOD, FOR_NOW, FOR_NOW, FOR_NOW])
    assert answers == [Reported.LOST, Reported.OK, Reported.LOST, Reported.OK, Reported.OK]
    assert [(await jobs.get(job.id)).status for job in (retried, final, doomed, done)] == [
        JobStatus.PENDING,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
        JobStatus.COMPLETED,
    ]


async def test_nothing_to_fail_is_no_error(storage: Storage) -> None:
    assert await storage.jobs(NAMESPACE).fail([], failures=[]) == []


async def test_failing_a_job_whose_cancel_was_requested_ends_it_cancelled_and_is_no_failure(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, dead_letter_job_type=a_type())
    await jobs.cancel([held.id])
    clock.advance(SECOND)
    await fail(storage, held, FOR_GOOD)
    job = await jobs.get(held.id)
    assert (job.status, job.cancel_requested, job.attempts) == (JobStatus.CANCELLED, False, 1)
    assert job.last_cancelled_at == job.completed_at == clock.now()
    assert (job.last_failed_at, job.dead_letter_job_id, job.failure_reason) == (None, None, None)
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.CANCELLED]
    assert (await jobs.page(JobFilter(), before=None, limit=10)).jobs == [job]
    assert await jobs.fail([held.lease], failures=[FOR_GOOD]) == [Reported.DUPLICATE]


async def dead_letter_of(storage: Storage, held: ClaimedJob) -> tuple[Any, ...]:
    """The job as it ended and the dead letter that was made of it."""
    original = await storage.jobs(NAMESPACE).get(held.id)
    assert original.dead_letter_job_id is not None
    return original, await storage.jobs(NAMESPACE).get(original.dead_letter_job_id)


async def test_a_final_failure_leaves_a_dead_letter_with_exactly_what_the_contract_says(
    storage: Storage, clock: ManualClock
) -> None:
    payload = Json('{"to": "żółć", "n": 1152921504606846977}')
    held = await given_claimed_job(
        storage, payload=payload, max_attempts=7, priority=9, tags=("a",), dead_letter_job_type="dead/mail"
    )
    clock.advance(SECOND)
    await fail(storage, held, Failure('no "such" person', reason=FailureReason.REJECTED))
    original, dead = await dead_letter_of(storage, held)
    assert original.dead_lettered_at == clock.now()
    assert json.loads(dead.payload) == {
        "original_job": {"id": str(held.id), "job_type": held.job_type, "attempts": 1, "max_attempts": 7},
        "original_payload": {"to": "żółć", "n": 1152921504606846977},
        "failure": {
            "message": 'no "such" person',
            "reason": "rejected",
            "failed_at": "2030-01-01T00:00:01.000000Z",
        },
    }
    assert (dead.job_type, dead.status, dead.pending_reason) == ("dead/mail", JobStatus.PENDING, None)
    assert (dead.max_attempts, dead.priority, dead.tags, dead.group) == (1, 0, (), None)
    assert (dead.dead_letter_job_type, dead.timeout_ms, dead.idempotency_key) == (None, None, None)
    assert (dead.retry_delay, dead.retry_backoff, dead.retry_delay_max) == (None, None, None)
    assert dead.run_at == dead.created_at == clock.now()
    assert is_uuid7(dead.id)
    assert dead.seq > original.seq


async def test_a_dead_letter_is_told_on_both_jobs(storage: Storage) -> None:
    held = await given_claimed_job(storage, dead_letter_job_type="dead")
    await fail(storage, held, FOR_GOOD)
    _, dead = await dead_letter_of(storage, held)
    events = await events_of(storage, held.id)
    assert [event.event for event in events[-2:]] == [EventName.FAILED, EventName.DEAD_LETTERED]
    assert json.loads(events[-1].data) == {"dead_letter_job_id": str(dead.id)}
    [added] = await events_of(storage, dead.id)
    assert (added.event, added.job_type) == (EventName.ADDED, "dead")
    assert added.id > events[-1].id


async def test_payloads_reach_the_dead_letter_letter_by_letter(storage: Storage) -> None:
    jobs, texts = storage.jobs(NAMESPACE), list(JSON_TEXTS.values())
    held = [await given_claimed_job(storage, payload=Json(text), dead_letter_job_type="dead") for text in texts]
    await jobs.fail([job.lease for job in held], failures=[FOR_GOOD] * len(held))
    for job, text in zip(held, texts, strict=True):
        _, dead = await dead_letter_of(storage, job)
        assert text in dead.payload.partition("original_payload")[2]


async def test_dead_letters_are_ready_in_the_order_their_jobs_failed(storage: Storage) -> None:
    jobs, types = storage.jobs(NAMESPACE), [a_type() for _ in range(3)]
    held = [await given_claimed_job(storage, job_type=name, dead_letter_job_type="dead") for name in types]
    for job in held[::-1]:
        await fail(storage, job, FOR_GOOD)
    letters = [json.loads(letter.payload) for letter in await claim(jobs, "dead")]
    assert [letter["original_job"]["job_type"] for letter in letters] == types[::-1]


async def test_a_failure_that_will_be_retried_leaves_no_dead_letter(storage: Storage) -> None:
    held = await given_claimed_job(storage, dead_letter_job_type="dead")
    await fail(storage, held, FOR_NOW)
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.dead_letter_job_id, job.dead_lettered_at) == (None, None)
    assert await claim(storage.jobs(NAMESPACE), "dead") == []


async def test_a_repeated_report_leaves_no_second_dead_letter(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, dead_letter_job_type="dead")
    await fail(storage, held, FOR_GOOD)
    assert await jobs.fail([held.lease], failures=[FOR_GOOD]) == [Reported.DUPLICATE]
    assert len(await claim(jobs, "dead")) == 1


async def test_a_job_that_is_its_own_dead_letter_does_not_go_round(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    held = await given_claimed_job(storage, job_type=job_type, dead_letter_job_type=job_type)
    await fail(storage, held, FOR_GOOD)
    [letter] = await claim(jobs, job_type)
    await fail(storage, letter, FOR_NOW)
    assert await claim(jobs, job_type) == []
    job = await jobs.get(letter.id)
    assert (job.status, job.dead_letter_job_id) == (JobStatus.FAILED, None)


async def test_a_job_that_fails_for_good_once_more_leaves_a_new_dead_letter(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, dead_letter_job_type="dead")
    await fail(storage, held, FOR_GOOD)
    _, first = await dead_letter_of(storage, held)
    await jobs.retry([held.id])
    assert (await jobs.get(held.id)).dead_letter_job_id == first.id
    await fail(storage, await claim_this(jobs, held), FOR_GOOD)
    _, second = await dead_letter_of(storage, held)
    assert [letter.id for letter in await claim(jobs, "dead")] == [first.id, second.id]


async def test_a_failure_reported_late_still_counts_until_somebody_reclaims(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(LEASE + HOUR)
    await fail(storage, held, FOR_NOW)
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 0
    job = await jobs.get(held.id)
    assert (job.crashes, job.next_attempt_at) == (0, clock.now() + MINUTE)


async def test_a_payload_of_null_reaches_the_dead_letter(storage: Storage) -> None:
    held = await given_claimed_job(storage, payload=NULL, dead_letter_job_type="dead")
    await fail(storage, held, FOR_GOOD)
    _, dead = await dead_letter_of(storage, held)
    assert json.loads(dead.payload)["original_payload"] is None
    assert dead.steps == EMPTY_OBJECT
