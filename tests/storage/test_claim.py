"""Ready to processing."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus, Json
from dataqueue.domain.retry import RetryPolicy
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    LEASE,
    NAMESPACE,
    SECOND,
    a_type,
    claim,
    events_of,
    eventually,
    given_claimed_job,
    given_job,
    new_job,
    told,
)


async def test_a_claimed_job_brings_what_a_handler_needs(storage: Storage, clock: ManualClock) -> None:
    retry = RetryPolicy(delay=5.5, backoff=True, delay_max=60)
    asked = new_job(payload=Json("[1.0]"), tags=("a", "b"), priority=-3, max_attempts=5, timeout_ms=1500, retry=retry)
    enqueued_at = clock.now()
    await storage.jobs(NAMESPACE).enqueue([[asked]])
    clock.advance(SECOND)
    assert await claim(storage.jobs(NAMESPACE), asked.job_type) == [
        ClaimedJob(
            id=asked.id,
            namespace=NAMESPACE,
            job_type=asked.job_type,
            payload=Json("[1.0]"),
            tags=("a", "b"),
            priority=-3,
            attempts=1,
            max_attempts=5,
            crashes=0,
            invocation=1,
            timeout_ms=1500,
            retry=retry,
            run_at=enqueued_at,
            created_at=enqueued_at,
            locked_at=clock.now(),
        )
    ]


async def test_a_claimed_job_reads_as_held_by_its_worker(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage)
    clock.advance(SECOND)
    await claim(storage.jobs(NAMESPACE), job.job_type, worker_id="host-1/ann", lease=timedelta(seconds=7.5))
    held = await storage.jobs(NAMESPACE).get(job.id)
    assert (held.status, held.locked_by, held.attempts) == (JobStatus.PROCESSING, "host-1/ann", 1)
    assert held.locked_at == held.started_at == held.updated_at == clock.now()
    assert held.lease_expires_at == clock.now() + timedelta(seconds=7.5)


async def test_a_claim_is_told_with_its_attempt_and_worker(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage, worker_id="bob")
    event = (await events_of(storage, held.id))[-1]
    assert (event.event, event.at) == (EventName.PROCESSING, clock.now())
    assert json.loads(event.data) == {"attempt": 1, "worker_id": "bob"}


async def test_higher_priority_goes_first_then_earlier_run_at_then_earlier_enqueue(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, job_type, now = storage.jobs(NAMESPACE), a_type(), clock.now()
    asked = {
        name: new_job(job_type=job_type, priority=priority, run_at=run_at)
        for name, priority, run_at in (
            ("low, early", -1, now - 2 * HOUR),
            ("normal, late, first", 0, now),
            ("normal, late, second", 0, now),
            ("normal, early", 0, now - HOUR),
            ("high, late", 10, now),
            ("normal, late, third", 0, None),
            ("highest", 32767, now),
            ("lowest", -32768, now - 9 * HOUR),
        )
    }
    await jobs.enqueue([list(asked.values())])
    names = {job.id: name for name, job in asked.items()}
    assert [names[job.id] for job in await claim(jobs, job_type)] == [
        "highest",
        "high, late",
        "normal, early",
        "normal, late, first",
        "normal, late, second",
        "normal, late, third",
        "low, early",
        "lowest",
    ]


async def test_order_is_the_same_when_jobs_are_claimed_one_by_one(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = [new_job(job_type=job_type, priority=n % 3) for n in range(12)]
    await jobs.enqueue([asked])
    claimed = [(await claim(jobs, job_type, limit=1))[0].id for _ in asked]
    assert claimed == [job.id for job in sorted(asked, key=lambda job: -job.priority)]


async def test_a_claim_takes_no_more_than_its_limit_and_leaves_the_rest_ready(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = [new_job(job_type=job_type) for _ in range(5)]
    await jobs.enqueue([asked])
    rounds = [[job.id for job in await claim(jobs, job_type, limit=2)] for _ in range(4)]
    ids = [job.id for job in asked]
    assert rounds == [ids[:2], ids[2:4], ids[4:], []]


async def test_many_types_are_claimed_together_in_one_order(storage: Storage, clock: ManualClock) -> None:
    jobs, types = storage.jobs(NAMESPACE), [a_type() for _ in range(5)]
    asked = [new_job(job_type=types[n % 5], priority=n % 4, run_at=clock.now() - n % 3 * SECOND) for n in range(60)]
    await jobs.enqueue([asked])
    in_order = [job.id for job in sorted(asked, key=lambda job: (-job.priority, job.run_at))]
    first = await claim(jobs, *types, limit=25)
    rest = await claim(jobs, *types, limit=100)
    assert [job.id for job in first] == in_order[:25]
    assert [job.id for job in rest] == in_order[25:]


async def test_the_jobs_of_types_that_were_not_asked_for_stay(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    wanted, other = await given_job(storage), await given_job(storage, priority=100)
    assert [job.id for job in await claim(jobs, wanted.job_type, a_type())] == [wanted.id]
    assert await jobs.get(other.id) == other


async def test_types_are_told_apart_letter_by_letter(storage: Storage) -> None:
    await given_job(storage, job_type="Mail")
    assert await claim(storage.jobs(NAMESPACE), "mail", "Mai", "Mail ", "M%", "M_il") == []


async def test_without_a_type_or_of_unknown_types_nothing_is_claimed(storage: Storage) -> None:
    await given_job(storage)
    assert await claim(storage.jobs(NAMESPACE)) == []
    assert await claim(storage.jobs(NAMESPACE), a_type(), a_type()) == []


async def test_a_type_named_twice_is_claimed_once(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = [new_job(job_type=job_type) for _ in range(3)]
    await jobs.enqueue([asked])
    assert [job.id for job in await claim(jobs, job_type, job_type)] == [job.id for job in asked]


async def test_a_held_job_is_not_claimed_again_even_when_its_lease_has_expired(
    storage: Storage, clock: ManualClock
) -> None:
    held = await given_claimed_job(storage)
    assert await claim(storage.jobs(NAMESPACE), held.job_type) == []
    clock.advance(LEASE + SECOND)
    assert await claim(storage.jobs(NAMESPACE), held.job_type) == []


async def test_each_claim_counts_an_attempt_and_an_invocation(storage: Storage, clock: ManualClock) -> None:
    jobs, first = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    began = clock.now()
    await jobs.fail([first.lease], failures=[FOR_NOW])
    clock.advance(HOUR)
    await storage.upkeep.stage(limit=10)
    [second] = await claim(jobs, first.job_type)
    assert (second.attempts, second.invocation) == (2, 2)
    job = await jobs.get(first.id)
    assert (job.started_at, job.locked_at) == (began, clock.now())


async def test_a_more_urgent_job_that_arrives_between_two_claims_is_found_by_the_second(storage: Storage) -> None:
    jobs, first = storage.jobs(NAMESPACE), await given_job(storage)
    assert [job.id for job in await claim(jobs, first.job_type, limit=1)] == [first.id]
    urgent = await given_job(storage, job_type=first.job_type, priority=1)
    assert [job.id for job in await claim(jobs, first.job_type, limit=1)] == [urgent.id]


async def test_a_job_that_is_to_be_tried_again_at_once_is_found_by_the_next_claim(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    await jobs.enqueue([[new_job(job_type=job_type) for _ in range(2)]])
    first, second = await claim(jobs, job_type, limit=2)
    await jobs.release([first.lease])
    assert [job.id for job in await claim(jobs, job_type, limit=2)] == [first.id]
    await jobs.complete([second.lease], outputs=[None])


async def test_an_urgent_job_overtakes_a_backlog_that_is_being_worked_on(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    await jobs.enqueue([[new_job(job_type=job_type) for _ in range(1000)]])
    await claim(jobs, job_type, limit=10)
    urgent = await given_job(storage, job_type=job_type, priority=1)

    async def claimed() -> bool | None:
        return True if urgent.id in [job.id for job in await claim(jobs, job_type, limit=1)] else None

    await eventually("the urgent job was claimed", claimed)
    left = await jobs.page(JobFilter(statuses=(JobStatus.PENDING,)), before=None, limit=1)
    assert left.jobs, "it was claimed when nothing else was left"


async def test_twenty_claimers_never_share_a_job_and_leave_none(storage: Storage) -> None:
    jobs, types = storage.jobs(NAMESPACE), [a_type(), a_type()]
    asked = [new_job(job_type=types[n % 2]) for n in range(600)]
    await jobs.enqueue([asked])
    claimed: list[ClaimedJob] = []

    async def work(number: int) -> None:
        asks_for = (types, types[:1], types[1:])[number % 3]

        async def all_are_claimed() -> bool | None:
            claimed.extend(await claim(jobs, *asks_for, limit=1 + number % 7, worker_id=f"worker {number}"))
            return True if len(claimed) >= len(asked) else None

        await eventually("every job was claimed", all_are_claimed)

    await asyncio.gather(*map(work, range(20)))
    assert sorted(job.id for job in claimed) == sorted(job.id for job in asked)
    assert {job.invocation for job in claimed} == {1}


async def test_a_claimer_that_meets_no_other_is_given_the_oldest_while_others_are_held(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = [new_job(job_type=job_type) for _ in range(6)]
    await jobs.enqueue([asked])
    batches = await asyncio.gather(*(claim(jobs, job_type, limit=2) for _ in range(3)))
    assert sorted(job.id for batch in batches for job in batch) == sorted(job.id for job in asked)
    for held in asked:
        assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING]
