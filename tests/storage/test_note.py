"""Processing stays processing: what a handler says while it works."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import JobStatus, Json, Lease, Note, Reported
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    AN_HOUR,
    FOR_NOW,
    LEASE,
    MAX_CRASHES,
    MINUTE,
    NAMESPACE,
    SECOND,
    claim_this,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_job_and_lease,
    told,
)
from tests.storage.texts import JSON_TEXTS


async def noted(storage: Storage, lease: Lease, note: Note) -> Reported:
    [answer] = await storage.jobs(NAMESPACE).note([lease], notes=[note])
    return answer


async def test_progress_and_output_are_kept_and_each_is_told(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, tags=("a",))
    before = await jobs.get(held.id)
    clock.advance(SECOND)
    assert await noted(storage, held.lease, Note(progress=40, output=Json("[1]"), prolonged_ms=5000)) is Reported.OK
    assert await jobs.get(held.id) == replace(before, progress=40, output=Json("[1]"), updated_at=clock.now())
    events = (await events_of(storage, held.id))[2:]
    assert [(event.event, json.loads(event.data)) for event in events] == [
        (EventName.PROGRESS, {"progress": 40}),
        (EventName.OUTPUT, {"output": [1]}),
        (EventName.PROLONGED, {"prolonged_ms": 5000}),
    ]
    assert {(event.job_type, event.tags) for event in events} == {(held.job_type, ("a",))}


async def test_what_a_note_does_not_say_stays(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await noted(storage, held.lease, Note(progress=0))
    await noted(storage, held.lease, Note(output=Json("1")))
    await noted(storage, held.lease, Note(prolonged_ms=2**40))
    job = await jobs.get(held.id)
    assert (job.progress, job.output) == (0, "1")
    await noted(storage, held.lease, Note(progress=100))
    await noted(storage, held.lease, Note(output=Json("null")))
    job = await jobs.get(held.id)
    assert (job.progress, job.output) == (100, "null")


async def test_outputs_come_back_letter_by_letter(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_jobs(storage, len(JSON_TEXTS))
    outputs = [Json(text) for text in JSON_TEXTS.values()]
    await jobs.note([job.lease for job in held], notes=[Note(output=output) for output in outputs])
    assert [(await jobs.get(job.id)).output for job in held] == outputs
    last = [(await events_of(storage, job.id))[-1].data for job in held]
    assert all(output in data for output, data in zip(outputs, last, strict=True))


async def test_what_was_noted_outlives_a_completion_without_an_output(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await noted(storage, held.lease, Note(progress=90, output=Json('"noted"')))
    await jobs.complete([held.lease], outputs=[None])
    job = await jobs.get(held.id)
    assert (job.status, job.progress, job.output) == (JobStatus.COMPLETED, 90, '"noted"')


@pytest.mark.parametrize("output", ["null", '"last"'])
async def test_an_output_at_the_end_replaces_one_that_was_noted(storage: Storage, output: str) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await noted(storage, held.lease, Note(progress=90, output=Json('"noted"')))
    await jobs.complete([held.lease], outputs=[Json(output)])
    job = await jobs.get(held.id)
    assert (job.progress, job.output) == (90, output)


async def test_what_was_noted_outlives_a_failure_and_a_wait(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await noted(storage, held.lease, Note(progress=1, output=Json("1")))
    await jobs.fail([held.lease], failures=[FOR_NOW])
    job = await jobs.get(held.id)
    assert (job.progress, job.output, job.failure_reason) == (1, "1", "handler_error")
    clock.advance(MINUTE)
    await storage.upkeep.stage(limit=10)
    again = await claim_this(jobs, held)
    await noted(storage, again.lease, Note(progress=2))
    await jobs.suspend([again.lease], waits=[[AN_HOUR]])
    job = await jobs.get(held.id)
    assert (job.progress, job.output, len(json.loads(job.error_history))) == (2, "1", 1)


@pytest.mark.parametrize("status", [status for status in JobStatus if status is not JobStatus.PROCESSING])
async def test_without_a_lease_nothing_is_noted(storage: Storage, status: JobStatus) -> None:
    job, lease = await given_job_and_lease(storage, status=status)
    before = await told(storage, job.id)
    assert await noted(storage, lease, Note(progress=1, output=Json("1"), prolonged_ms=1)) is Reported.LOST
    assert await storage.jobs(NAMESPACE).get(job.id) == job
    assert await told(storage, job.id) == before


async def test_a_worker_that_lost_its_job_notes_nothing(storage: Storage, clock: ManualClock) -> None:
    jobs, late = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    again = await claim_this(jobs, late)
    assert await noted(storage, late.lease, Note(progress=1)) is Reported.LOST
    assert await noted(storage, again.lease, Note(progress=2)) is Reported.OK
    assert (await jobs.get(late.id)).progress == 2


async def test_a_batch_answers_for_each_lease_in_its_order(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    first, second = await given_claimed_jobs(storage, 2)
    leases = [second.lease, Lease(new_id(), 1), first.lease, Lease(first.id, 9)]
    notes = [Note(progress=number) for number in (1, 2, 3, 4)]
    assert await jobs.note(leases, notes=notes) == [Reported.OK, Reported.LOST, Reported.OK, Reported.LOST]
    assert [(await jobs.get(job.id)).progress for job in (first, second)] == [3, 1]
    assert await jobs.note([], notes=[]) == []


async def test_of_several_notes_of_one_lease_the_last_word_counts_and_all_are_told(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    notes = [Note(progress=1, output=Json('"a"')), Note(output=Json('"b"')), Note(progress=3)]
    assert await jobs.note([held.lease] * 3, notes=notes) == [Reported.OK] * 3
    job = await jobs.get(held.id)
    assert (job.progress, job.output) == (3, '"b"')
    assert [json.loads(event.data) for event in (await events_of(storage, held.id))[2:]] == [
        {"progress": 1},
        {"output": "a"},
        {"output": "b"},
        {"progress": 3},
    ]


async def test_any_number_may_note_at_once(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    answers = await asyncio.gather(*(noted(storage, held.lease, Note(progress=number)) for number in range(20)))
    assert set(answers) == {Reported.OK}
    assert (await told(storage, held.id)).count(EventName.PROGRESS) == 20
