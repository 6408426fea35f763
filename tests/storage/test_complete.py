"""Processing to completed."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import NULL, JobStatus, Json, Lease, Reported
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    FOR_NOW,
    HOUR,
    LEASE,
    MAX_CRASHES,
    NAMESPACE,
    SECOND,
    claim,
    claim_this,
    data_of_last,
    given_claimed_job,
    given_claimed_jobs,
    told,
)
from tests.storage.texts import JSON_TEXTS

REPORTS = ("complete", "fail", "release")


async def report(storage: Storage, name: str, lease: Lease) -> Reported:
    jobs = storage.jobs(NAMESPACE)
    match name:
        case "complete":
            [answer] = await jobs.complete([lease], outputs=[Json('{"n": 1}')])
        case "fail":
            [answer] = await jobs.fail([lease], failures=[FOR_NOW])
        case _:
            [answer] = await jobs.release([lease])
    return answer


async def test_a_completed_job_is_done_and_free_of_its_worker(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(SECOND)
    assert await jobs.complete([held.lease], outputs=[None]) == [Reported.OK]
    job = await jobs.get(held.id)
    assert (job.status, job.attempts, job.output, job.failure_reason) == (JobStatus.COMPLETED, 1, None, None)
    assert (job.locked_by, job.locked_at, job.lease_expires_at) == (None, None, None)
    assert job.completed_at == job.updated_at == clock.now()
    assert (await told(storage, held.id))[-1] is EventName.COMPLETED
    assert await data_of_last(storage, held.id) == {"attempt": 1}


async def test_outputs_come_back_letter_by_letter_each_with_its_job(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_jobs(storage, len(JSON_TEXTS))
    outputs = [Json(text) for text in JSON_TEXTS.values()]
    assert set(await jobs.complete([job.lease for job in held], outputs=outputs)) == {Reported.OK}
    assert [(await jobs.get(job.id)).output for job in held] == outputs


async def test_the_output_null_is_told_from_no_output(storage: Storage) -> None:
    jobs, (null, none) = storage.jobs(NAMESPACE), await given_claimed_jobs(storage, 2)
    await jobs.complete([null.lease, none.lease], outputs=[NULL, None])
    assert (await jobs.get(null.id)).output == "null"
    assert (await jobs.get(none.id)).output is None


async def test_a_job_that_failed_before_it_was_done_keeps_its_history_and_no_reason(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.fail([held.lease], failures=[replace(FOR_NOW, retry_after=timedelta())])
    again = await claim_this(jobs, held)
    clock.advance(SECOND)
    await jobs.complete([again.lease], outputs=[Json("2")])
    job = await jobs.get(held.id)
    assert (job.status, job.failure_reason, job.output, job.attempts) == (JobStatus.COMPLETED, None, "2", 2)
    assert [entry["attempt"] for entry in json.loads(job.error_history)] == [1]
    assert job.last_failed_at == clock.now() - SECOND
    assert await data_of_last(storage, held.id) == {"attempt": 2}


async def test_completing_wins_over_a_cancel_that_was_only_requested(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    assert await jobs.complete([held.lease], outputs=[Json("1")]) == [Reported.OK]
    job = await jobs.get(held.id)
    assert (job.status, job.cancel_requested, job.output) == (JobStatus.COMPLETED, False, "1")
    assert job.last_cancelled_at is None
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


async def test_a_holder_whose_lease_has_expired_may_still_complete(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(HOUR)
    assert await jobs.complete([held.lease], outputs=[None]) == [Reported.OK]


async def test_a_reclaimed_job_cannot_be_completed_by_its_former_worker(storage: Storage, clock: ManualClock) -> None:
    jobs, late = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    for name in REPORTS:
        assert await report(storage, name, late.lease) is Reported.LOST
    again = await claim_this(jobs, late, worker_id="bob")
    held = await jobs.get(late.id)
    for name in REPORTS:
        assert await report(storage, name, late.lease) is Reported.LOST
    assert await jobs.get(late.id) == held
    assert await jobs.complete([again.lease], outputs=[None]) == [Reported.OK]


@pytest.mark.parametrize("name", REPORTS)
async def test_the_same_report_again_is_a_duplicate_and_changes_nothing(
    storage: Storage, clock: ManualClock, name: str
) -> None:
    held = await given_claimed_job(storage)
    assert await report(storage, name, held.lease) is Reported.OK
    job, events = await storage.jobs(NAMESPACE).get(held.id), await told(storage, held.id)
    clock.advance(SECOND)
    assert [await report(storage, name, held.lease) for _ in range(3)] == [Reported.DUPLICATE] * 3
    assert await storage.jobs(NAMESPACE).get(held.id) == job
    assert await told(storage, held.id) == events


@pytest.mark.parametrize(
    ("first", "other"), [(first, other) for first in REPORTS for other in REPORTS if first != other]
)
async def test_another_report_after_the_first_is_lost_and_changes_nothing(
    storage: Storage, first: str, other: str
) -> None:
    held = await given_claimed_job(storage)
    await report(storage, first, held.lease)
    job, events = await storage.jobs(NAMESPACE).get(held.id), await told(storage, held.id)
    assert await report(storage, other, held.lease) is Reported.LOST
    assert await storage.jobs(NAMESPACE).get(held.id) == job
    assert await told(storage, held.id) == events


@pytest.mark.parametrize("name", ["fail", "release"])
async def test_a_report_repeated_after_the_job_was_claimed_again_touches_no_one(storage: Storage, name: str) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await report(storage, name, held.lease)
    await jobs.cancel([held.id])
    await jobs.retry([held.id])
    await claim(jobs, held.job_type)
    job = await jobs.get(held.id)
    assert await report(storage, name, held.lease) is not Reported.OK
    assert await jobs.get(held.id) == job


async def test_a_batch_answers_for_each_lease_in_its_order(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    first, second, done, failed = await given_claimed_jobs(storage, 4)
    await jobs.complete([done.lease], outputs=[None])
    await jobs.fail([failed.lease], failures=[FOR_GOOD])
    leases = [second.lease, Lease(new_id(), 1), done.lease, Lease(first.id, 9), first.lease, failed.lease]
    outputs = [Json(f'"{n}"') for n in range(len(leases))]
    assert await jobs.complete(leases, outputs=outputs) == [
        Reported.OK,
        Reported.LOST,
        Reported.DUPLICATE,
        Reported.LOST,
        Reported.OK,
        Reported.LOST,
    ]
    assert (await jobs.get(second.id)).output == '"0"'
    assert (await jobs.get(first.id)).output == '"4"'
    assert (await jobs.get(done.id)).output is None


async def test_a_lease_named_twice_in_one_batch_completes_once(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    answers = await jobs.complete([held.lease, held.lease], outputs=[Json("1"), Json("1")])
    assert answers[0] is Reported.OK
    assert Reported.LOST not in answers
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


async def test_nothing_to_complete_is_no_error(storage: Storage) -> None:
    assert await storage.jobs(NAMESPACE).complete([], outputs=[]) == []


async def test_of_many_reports_at_once_one_counts(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    answers = await asyncio.gather(*(jobs.complete([held.lease], outputs=[Json(str(n))]) for n in range(20)))
    assert sorted(answer for [answer] in answers) == [Reported.DUPLICATE] * 19 + [Reported.OK]
    assert (await jobs.get(held.id)).output == str(answers.index([Reported.OK]))
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


async def test_reports_that_name_jobs_in_any_order_do_not_block_each_other(storage: Storage) -> None:
    jobs, chance = storage.jobs(NAMESPACE), random.Random(7)
    leases = [held.lease for held in await given_claimed_jobs(storage, 200)]

    async def complete() -> int:
        shuffled = chance.sample(leases, len(leases))
        answers = await jobs.complete(shuffled, outputs=[Json("1")] * len(leases))
        return answers.count(Reported.OK)

    assert sum(await asyncio.gather(*(complete() for _ in range(8)))) == len(leases)
