"""Cancel, retry, edit and delete by a filter, a batch at a time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter, Position, TagMode
from dataqueue.domain.job import Job, JobStatus, Json
from dataqueue.domain.lifecycle import Verb, allows
from dataqueue.errors import IllegalTransition
from dataqueue.storage.answers import Swept
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    NAMESPACE,
    SECOND,
    a_type,
    claim,
    claim_this,
    data_of_last,
    given_claimed_job,
    given_job,
    new_job,
    told,
)
from tests.storage.test_filters import a_filter, given_assorted_jobs, matches, walked

ALL: Final = JobFilter()
VERBS: Final = (Verb.CANCEL, Verb.RETRY, Verb.EDIT, Verb.DELETE)
EDIT: Final = JobEdit(priority=9)


@dataclass
class Total:
    """What the batches of one sweep came to."""

    matched: int = 0
    changed: int = 0
    job_types: set[str] = field(default_factory=set)
    batches: int = 0


async def swept(
    storage: Storage,
    verb: Verb,
    matching: JobFilter = ALL,
    *,
    limit: int = 1000,
    namespace: str = NAMESPACE,
    **how: Any,
) -> Total:
    """A whole sweep. Each batch goes on after the one before it and keeps to its limit."""
    total, before = Total(), None
    if verb is Verb.EDIT:
        how.setdefault("edit", EDIT)
    while True:
        batch = await storage.jobs(namespace).sweep(verb, matching, before=before, limit=limit, **how)
        total.matched += batch.matched
        total.changed += batch.changed
        total.job_types |= batch.job_types
        total.batches += 1
        assert batch.changed <= batch.matched <= limit
        if batch.next is None:
            return total
        assert before is None or _place(batch.next) < _place(before)
        before = batch.next


def _place(position: Position) -> tuple[Any, int]:
    return position.created_at, position.seq


async def everything(storage: Storage) -> dict[UUID, Job]:
    return {job.id: job for job in await walked(storage, ALL, limit=1000)}


def was_changed(verb: Verb, before: Job, after: Job | None) -> bool:
    """Whether the verb did to it what it does."""
    if after is None:
        return verb is Verb.DELETE
    match verb:
        case Verb.CANCEL:
            marked = after.cancel_requested and not before.cancel_requested
            return marked or (after.status is JobStatus.CANCELLED and before.status is not JobStatus.CANCELLED)
        case Verb.RETRY:
            return after.status is JobStatus.PENDING and before.status is not JobStatus.PENDING
        case _:
            return after.updated_at > before.updated_at and after.priority == EDIT.priority


@pytest.mark.parametrize("seed", range(6))
async def test_any_sweep_changes_what_fits_and_is_permitted_and_nothing_else(
    storage: Storage, clock: ManualClock, seed: int
) -> None:
    draw = random.Random(seed)
    await given_assorted_jobs(storage, clock, draw, 60)
    met = 0
    for _ in range(16):
        clock.advance(SECOND)
        before = await everything(storage)
        if not before:
            break
        verb, matching = draw.choice(VERBS), a_filter(draw, list(before.values()))
        fitting = {job.id for job in before.values() if matches(job, matching) and allows(verb, job.status)}
        doomed = {job_id for job_id in fitting if verb is not Verb.CANCEL or not before[job_id].cancel_requested}

        looked = await swept(storage, verb, matching, limit=draw.choice([3, 1000]), dry_run=True)
        assert (looked.matched, looked.changed, looked.job_types) == (len(fitting), 0, set()), (verb, matching)
        assert await everything(storage) == before

        done = await swept(storage, verb, matching, limit=draw.choice([3, 7, 1000]))
        after = await everything(storage)
        assert (done.matched, done.changed) == (len(fitting), len(doomed)), (verb, matching)
        assert done.job_types == {before[job_id].job_type for job_id in doomed}
        assert {job_id for job_id in before if was_changed(verb, before[job_id], after.get(job_id))} == doomed
        assert all(after[job_id] == before[job_id] for job_id in before.keys() - doomed)
        met += len(doomed)
    assert met > 20


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [status for status in JobStatus if status is not JobStatus.WAITING])
async def test_a_sweep_of_one_does_what_the_verb_does(
    storage: Storage, clock: ManualClock, verb: Verb, status: JobStatus
) -> None:
    one, other = await given_job(storage, status=status), await given_job(storage, status=status)
    clock.advance(SECOND)
    jobs = storage.jobs(NAMESPACE)
    done = await swept(storage, verb, JobFilter(job_types=(one.job_type,)))
    assert done.matched == done.changed == int(allows(verb, status))
    if not allows(verb, status):
        assert await jobs.get(one.id) == one
        return
    single = {Verb.CANCEL: jobs.cancel, Verb.RETRY: jobs.retry, Verb.DELETE: jobs.delete}.get(verb)
    await (single([other.id]) if single else jobs.edit([other.id], EDIT))
    if verb is Verb.DELETE:
        assert await everything(storage) == {}
        return
    now, then = await jobs.get(one.id), await jobs.get(other.id)
    assert {name for name in Job.__slots__ if getattr(now, name) != getattr(then, name)} <= {"id", "job_type", "seq"}
    assert await told(storage, one.id) == await told(storage, other.id)
    assert await data_of_last(storage, one.id) == await data_of_last(storage, other.id)


async def test_a_job_already_asked_to_stop_matches_and_is_not_changed(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    first = await swept(storage, Verb.CANCEL)
    marked = await storage.jobs(NAMESPACE).get(held.id)
    clock.advance(SECOND)
    again = await swept(storage, Verb.CANCEL)
    assert (first.matched, first.changed, first.job_types) == (1, 1, {held.job_type})
    assert (again.matched, again.changed, again.job_types) == (1, 0, set())
    assert marked.cancel_requested
    assert await storage.jobs(NAMESPACE).get(held.id) == marked


async def test_a_filter_of_statuses_that_do_not_permit_the_verb_finds_nothing(storage: Storage) -> None:
    job = await given_job(storage, status=JobStatus.COMPLETED)
    done = await swept(storage, Verb.CANCEL, JobFilter(statuses=(JobStatus.COMPLETED, JobStatus.FAILED)))
    assert (done.matched, done.changed, done.batches) == (0, 0, 1)
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_a_sweep_keeps_to_its_namespace(storage: Storage) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"d", prefix="p")
    await storage.jobs("other").enqueue([[new_job(job_type="t", tags=("x",))]])
    mine = await given_job(storage, job_type="t", tags=("x",))
    for matching in (ALL, JobFilter(job_types=("t",)), JobFilter(tags=("x",))):
        assert (await swept(storage, Verb.EDIT, matching, namespace="other")).changed == 1
        assert (await swept(storage, Verb.EDIT, matching, namespace="nowhere")).matched == 0
    assert await storage.jobs(NAMESPACE).get(mine.id) == mine


async def test_jobs_enqueued_while_a_sweep_goes_on_are_left_alone(storage: Storage) -> None:
    jobs, before = storage.jobs(NAMESPACE), None
    at_first = [new_job() for _ in range(25)]
    await jobs.enqueue([at_first])
    changed, later = 0, []
    while True:
        batch: Swept = await jobs.sweep(Verb.CANCEL, ALL, before=before, limit=4)
        changed += batch.changed
        if (before := batch.next) is None:
            break
        later += [await given_job(storage) for _ in range(3)]
    assert changed == len(at_first)
    assert later
    assert [await jobs.get(job.id) for job in later] == later


async def test_each_edited_job_tells_of_it_and_is_found_by_its_new_tags(storage: Storage) -> None:
    made = [await given_job(storage, tags=("old", "kept")) for _ in range(5)]
    edit = JobEdit(tags=("kept", "new"), payload=Json("[1.0]"), dead_letter_job_type="grave")
    assert (await swept(storage, Verb.EDIT, JobFilter(tags=("old",)), edit=edit, limit=2)).changed == 5
    assert (await swept(storage, Verb.EDIT, JobFilter(tags=("old",)), edit=edit)).matched == 0
    assert (await swept(storage, Verb.EDIT, JobFilter(tags=("new", "kept")), edit=edit, dry_run=True)).matched == 5
    for job in made:
        assert await told(storage, job.id) == [EventName.ADDED, EventName.EDITED]
        now = await storage.jobs(NAMESPACE).get(job.id)
        assert (now.tags, now.payload, now.dead_letter_job_type) == (("kept", "new"), "[1.0]", "grave")


async def test_a_sweep_that_edits_what_it_goes_by_meets_each_job_once(storage: Storage) -> None:
    for _ in range(10):
        await given_job(storage, priority=1, delay=HOUR)
    done = await swept(storage, Verb.EDIT, JobFilter(priority=1), edit=JobEdit(priority=2, run_at=None), limit=3)
    assert (done.matched, done.changed) == (10, 10)


async def test_a_sweep_wakes_what_waits_for_its_next_attempt(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.fail([held.lease], failures=[FOR_NOW])
    await swept(storage, Verb.EDIT, edit=JobEdit(run_at=None))
    assert (await claim_this(jobs, held)).attempts == 2


async def test_a_deleted_jobs_key_is_free_again(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    old = [await given_job(storage, status=JobStatus.COMPLETED, idempotency_key=f"k{n}", tags=("t",)) for n in range(5)]
    assert (await swept(storage, Verb.DELETE, JobFilter(tags=("t",)), limit=2)).changed == 5
    answers = await jobs.enqueue([[new_job(idempotency_key=job.idempotency_key) for job in old]])
    assert all(answer.created for answer in answers[0])


async def test_workers_and_a_sweep_of_what_is_pending_share_the_jobs_out(live_storage: Storage) -> None:
    jobs, job_type = live_storage.jobs(NAMESPACE), a_type()
    for _ in range(4):
        await jobs.enqueue([[new_job(job_type=job_type) for _ in range(1000)]])
    taken: list[ClaimedJob] = []
    begun = asyncio.Event()

    async def work() -> None:
        while held := await claim(jobs, job_type, limit=50):
            taken.extend(held)
            begun.set()

    pending = JobFilter(statuses=(JobStatus.PENDING,))
    working = [asyncio.create_task(work()) for _ in range(3)]
    await begun.wait()
    done = await swept(live_storage, Verb.CANCEL, pending, limit=200)
    await asyncio.gather(*working)
    found = await everything(live_storage)
    assert done.changed == done.matched == 4000 - len(taken)
    assert done.changed > 0
    for job in taken:
        now = found[job.id]
        assert (now.status, now.cancel_requested) == (JobStatus.PROCESSING, False)
    assert sum(job.status is JobStatus.CANCELLED for job in found.values()) == done.changed


async def test_an_edit_at_the_same_time_saves_a_job_or_comes_too_late(live_storage: Storage) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    made = [new_job(tags=("a",)) for _ in range(1000)]
    await jobs.enqueue([made])
    saved, begun = set(), asyncio.Event()

    async def save(share: list[Any]) -> None:
        for job in share:
            try:
                await jobs.edit([job.id], JobEdit(tags=("b",)))
            except IllegalTransition:
                continue
            saved.add(job.id)
            begun.set()

    saving = [asyncio.create_task(save(made[n::4])) for n in range(4)]
    await begun.wait()
    done = await swept(live_storage, Verb.CANCEL, JobFilter(tags=("a",)), limit=100)
    await asyncio.gather(*saving)
    found = await everything(live_storage)
    assert 0 < done.changed == done.matched == 1000 - len(saved)
    expected = {
        job.id: (JobStatus.PENDING, ("b",)) if job.id in saved else (JobStatus.CANCELLED, ("a",)) for job in made
    }
    assert {job.id: (job.status, job.tags) for job in found.values()} == expected


async def test_sweeps_at_once_change_each_job_once_while_jobs_are_added(live_storage: Storage) -> None:
    jobs, added = live_storage.jobs(NAMESPACE), 0
    await jobs.enqueue([[new_job(tags=("t",)) for _ in range(1000)] for _ in range(2)])
    stop = asyncio.Event()

    async def produce() -> None:
        nonlocal added
        while not stop.is_set():
            await jobs.enqueue([[new_job(tags=("t",)) for _ in range(10)]])
            added += 10

    producing = asyncio.create_task(produce())
    ways = (ALL, JobFilter(tags=("t",)), JobFilter(tags=("u",), tag_mode=TagMode.NONE))
    done = await asyncio.gather(*(swept(live_storage, Verb.CANCEL, matching, limit=150) for matching in ways))
    stop.set()
    await producing
    found = await everything(live_storage)
    cancelled = sum(job.status is JobStatus.CANCELLED for job in found.values())
    assert len(found) == 2000 + added
    assert sum(total.changed for total in done) == cancelled >= 2000
    for job_id in list(found)[-50:]:  # the oldest: met by every sweep
        assert await told(live_storage, job_id) == [EventName.ADDED, EventName.CANCELLED]
