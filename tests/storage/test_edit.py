"""Pending to pending, with new values."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import EMPTY_OBJECT, NULL, Job, JobStatus, Json, NewJob
from dataqueue.domain.retry import RetryPolicy
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    FOR_NOW,
    HOUR,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_type,
    claim,
    claim_this,
    data_of_last,
    events_of,
    given_claimed_job,
    given_job,
    new_job,
    told,
)
from tests.storage.texts import JSON_TEXTS, TAGS

EXACT = Json('{"n": 1152921504606846976, "f": 1.0, "e": 1e2, "list": [], "text": "\\u00e9 \\"\\\\"}')
FULL: dict[str, Any] = {
    "priority": 3,
    "max_attempts": 5,
    "timeout_ms": 1000,
    "tags": ("a", "b"),
    "retry": RetryPolicy(delay=1.0, backoff=False, delay_max=9.0),
    "dead_letter_job_type": "dead",
    "force_kill_on_timeout": True,
}


async def edited(storage: Storage, job_id: UUID, **fields: Any) -> Job:
    await storage.jobs(NAMESPACE).edit([job_id], JobEdit(**fields))
    return await storage.jobs(NAMESPACE).get(job_id)


async def ids_tagged(storage: Storage, *tags: str) -> list[UUID]:
    page = await storage.jobs(NAMESPACE).page(JobFilter(tags=tags), before=None, limit=1000)
    return [job.id for job in page.jobs]


async def test_everything_that_may_change_changes_and_nothing_else(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage, idempotency_key="key")
    clock.advance(SECOND)
    now = await edited(
        storage,
        job.id,
        payload=EXACT,
        priority=-7,
        run_at=clock.now() + HOUR,
        max_attempts=9,
        timeout_ms=5000,
        tags=("x", "y"),
        retry_delay=2.5,
        retry_backoff=True,
        retry_delay_max=60.0,
        dead_letter_job_type="grave",
        force_kill_on_timeout=True,
    )
    changed = {name for name in Job.__slots__ if getattr(now, name) != getattr(job, name)}
    assert (now.payload, now.priority, now.run_at, now.max_attempts) == (EXACT, -7, clock.now() + HOUR, 9)
    assert (now.timeout_ms, now.tags, now.dead_letter_job_type) == (5000, ("x", "y"), "grave")
    assert (now.retry_delay, now.retry_backoff, now.retry_delay_max) == (2.5, True, 60.0)
    assert now.force_kill_on_timeout
    assert (now.pending_reason, now.updated_at) == ("scheduled", clock.now())
    assert changed == {
        "payload", "priority", "run_at", "max_attempts", "timeout_ms", "tags", "retry_delay", "retry_backoff",
        "retry_delay_max", "dead_letter_job_type", "force_kill_on_timeout", "pending_reason", "updated_at",
    }  # fmt: skip


async def test_one_event_tells_the_new_values_of_what_was_given(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage, **FULL)
    clock.advance(SECOND)
    await edited(storage, job.id, delay=MINUTE, tags=("c",), timeout_ms=None, max_attempts=4, retry_delay=30.0)
    last = (await events_of(storage, job.id))[-1]
    assert (last.event, last.at) == (EventName.EDITED, clock.now())
    assert await told(storage, job.id) == [EventName.ADDED, EventName.EDITED]
    assert json.loads(last.data) == {
        "changes": {
            "run_at": f"{clock.now() + MINUTE:%Y-%m-%dT%H:%M:%S.%fZ}",
            "tags": ["c"],
            "timeout_ms": None,
            "max_attempts": 4,
            "retry_delay": 30.0,
        }
    }


async def test_the_event_holds_the_payload_to_the_letter(storage: Storage) -> None:
    job = await given_job(storage)
    assert (await edited(storage, job.id, payload=EXACT)).payload == EXACT
    last = (await events_of(storage, job.id))[-1]
    assert last.data == '{"changes":{"payload":' + EXACT + "}}"


@pytest.mark.parametrize("text", JSON_TEXTS.values(), ids=JSON_TEXTS)
async def test_a_payload_comes_back_as_it_was_given(storage: Storage, text: str) -> None:
    job = await given_job(storage)
    assert (await edited(storage, job.id, payload=Json(text))).payload == text
    assert (await events_of(storage, job.id))[-1].data == '{"changes":{"payload":' + text + "}}"


@pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS)
async def test_tags_come_back_as_they_were_given(storage: Storage, tags: tuple[str, ...]) -> None:
    job = await given_job(storage, tags=("before",))
    assert (await edited(storage, job.id, tags=tags)).tags == tags
    assert await data_of_last(storage, job.id) == {"changes": {"tags": list(tags)}}
    assert await ids_tagged(storage, *tags) == [job.id]


async def test_a_payload_of_null_is_a_value(storage: Storage) -> None:
    job = await given_job(storage)
    assert (await edited(storage, job.id, payload=NULL)).payload == "null"
    assert await data_of_last(storage, job.id) == {"changes": {"payload": None}}


async def test_none_brings_each_field_back_to_its_default(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage, **FULL, delay=HOUR)
    clock.advance(SECOND)
    now = await edited(
        storage, job.id, priority=None, run_at=None, max_attempts=None, timeout_ms=None, tags=None, retry_delay=None,
        retry_backoff=None, retry_delay_max=None, dead_letter_job_type=None, force_kill_on_timeout=None,
    )  # fmt: skip
    fresh = await given_job(storage, job_type=job.job_type)
    differing = {name for name in Job.__slots__ if getattr(now, name) != getattr(fresh, name)}
    assert differing == {"id", "seq", "created_at"}
    assert (await data_of_last(storage, job.id))["changes"] == {
        "priority": 0, "run_at": "2030-01-01T00:00:01.000000Z", "max_attempts": 3, "timeout_ms": None, "tags": [],
        "retry_delay": None, "retry_backoff": None, "retry_delay_max": None, "dead_letter_job_type": None,
        "force_kill_on_timeout": False,
    }  # fmt: skip


async def test_what_is_not_named_stays(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage, **FULL, delay=HOUR, payload=EXACT)
    clock.advance(SECOND)
    now = await edited(storage, job.id, timeout_ms=2000)
    assert now.timeout_ms == 2000
    assert {name for name in Job.__slots__ if getattr(now, name) != getattr(job, name)} == {"timeout_ms", "updated_at"}


async def test_an_edit_of_nothing_changes_nothing_and_says_nothing(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage)
    clock.advance(SECOND)
    assert await edited(storage, job.id) == job
    assert await told(storage, job.id) == [EventName.ADDED]


@pytest.mark.parametrize("edit", [JobEdit(), JobEdit(priority=1)], ids=["nothing", "something"])
async def test_only_a_pending_job_can_be_edited_even_by_nothing(storage: Storage, edit: JobEdit) -> None:
    jobs = storage.jobs(NAMESPACE)
    for status in (JobStatus.PROCESSING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED):
        job = await given_job(storage, status=status)
        with pytest.raises(IllegalTransition) as refusal:
            await jobs.edit([job.id], edit)
        assert (refusal.value.verb, refusal.value.job_id, refusal.value.status) == ("edit", job.id, status)
        assert await jobs.get(job.id) == job
    with pytest.raises(NotFound):
        await jobs.edit([new_id()], edit)


async def test_a_job_of_another_namespace_is_not_there(storage: Storage) -> None:
    job = await given_job(storage)
    with pytest.raises(NotFound):
        await storage.jobs("elsewhere").edit([job.id], JobEdit(dead_letter_job_type="x"))
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_of_several_those_that_are_pending_are_edited_and_the_others_passed_over(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    pending, done = await given_job(storage), await given_job(storage, status=JobStatus.COMPLETED)
    await jobs.edit([done.id, new_id(), pending.id], JobEdit(priority=2))
    await jobs.edit([], JobEdit(priority=2))
    assert (await jobs.get(pending.id)).priority == 2
    assert await jobs.get(done.id) == done


async def test_a_ready_job_put_off_is_not_claimed_until_it_is_due(storage: Storage, clock: ManualClock) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage)
    await jobs.edit([job.id], JobEdit(delay=HOUR))
    assert await claim(jobs, job.job_type) == []
    assert (await storage.upkeep.stage(limit=10)).next_due_in == 3600
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 1
    await claim_this(jobs, job)


@pytest.mark.parametrize("fields", [{"run_at": None}, {"run_at": datetime.fromisoformat("2029-12-31T00:00:00Z")}])
async def test_a_scheduled_job_moved_to_now_or_the_past_is_ready_at_once(
    storage: Storage, clock: ManualClock, fields: dict[str, Any]
) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, delay=HOUR)
    now = await edited(storage, job.id, **fields)
    assert (now.run_at, now.pending_reason) == (fields["run_at"] or clock.now(), None)
    assert (await storage.upkeep.stage(limit=10)).next_due_in is None
    await claim_this(jobs, job)


async def test_a_job_that_waits_for_its_next_attempt_waits_until_the_new_time(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.fail([held.lease], failures=[FOR_NOW])
    now = await edited(storage, held.id, delay=HOUR)
    assert (now.pending_reason, now.next_attempt_at, now.run_at) == ("retry", clock.now() + HOUR, clock.now() + HOUR)
    clock.advance(MINUTE)
    assert (await storage.upkeep.stage(limit=10)).count == 0
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 1
    assert (await claim_this(jobs, held)).attempts == 2


async def test_a_job_that_waits_for_its_next_attempt_can_be_had_at_once(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.fail([held.lease], failures=[FOR_NOW])
    now = await edited(storage, held.id, run_at=None)
    assert (now.pending_reason, now.next_attempt_at, now.run_at) == (None, None, clock.now())
    assert (await claim_this(jobs, held)).attempts == 2


async def test_an_edit_of_something_else_leaves_a_wait_as_it_is(storage: Storage, clock: ManualClock) -> None:
    jobs, held, scheduled = (
        storage.jobs(NAMESPACE),
        await given_claimed_job(storage),
        await given_job(storage, delay=HOUR),
    )
    await jobs.fail([held.lease], failures=[FOR_NOW])
    waiting = await jobs.get(held.id)
    assert (await edited(storage, held.id, priority=1)).next_attempt_at == waiting.next_attempt_at
    assert (await edited(storage, scheduled.id, priority=1)).pending_reason == "scheduled"
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 2


async def test_a_higher_priority_goes_first_and_is_found_by_it(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    first, second = await given_job(storage, job_type=job_type), await given_job(storage, job_type=job_type)
    await jobs.edit([second.id], JobEdit(priority=1))
    page = await jobs.page(JobFilter(priority=1), before=None, limit=10)
    assert [job.id for job in page.jobs] == [second.id]
    assert [job.id for job in await claim(jobs, job_type)] == [second.id, first.id]


async def test_a_job_is_found_by_its_new_tags_and_not_by_those_it_lost(storage: Storage) -> None:
    job = await given_job(storage, tags=("a", "b"))
    await edited(storage, job.id, tags=("b", "c"))
    assert [await ids_tagged(storage, tag) for tag in "abc"] == [[], [job.id], [job.id]]
    await edited(storage, job.id, tags=())
    assert [await ids_tagged(storage, tag) for tag in "abc"] == [[], [], []]
    await edited(storage, job.id, tags=("a",))
    assert await ids_tagged(storage, "a") == [job.id]
    assert [event.tags for event in await events_of(storage, job.id)] == [("a", "b"), ("b", "c"), (), ("a",)]


async def test_a_worker_is_given_what_was_edited(storage: Storage) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, **FULL)
    await edited(storage, job.id, payload=EXACT, tags=("z",), timeout_ms=7, retry_delay=None, max_attempts=1)
    held = await claim_this(jobs, job)
    assert (held.payload, held.tags, held.timeout_ms, held.max_attempts) == (EXACT, ("z",), 7, 1)
    assert held.retry == RetryPolicy(backoff=False, delay_max=9.0)


async def test_a_dead_letter_of_an_edited_type_is_made(storage: Storage) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage)
    grave = a_type()
    await edited(storage, job.id, dead_letter_job_type=grave)
    held = await claim_this(jobs, job)
    await jobs.fail([held.lease], failures=[FOR_GOOD])
    assert len(await claim(jobs, grave)) == 1


async def test_a_worker_never_gets_less_than_the_edits_that_were_accepted(live_storage: Storage) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    accepted: set[UUID] = set()
    begun = asyncio.Event()

    async def edit_from_the_end(share: list[NewJob]) -> None:
        for job in reversed(share):
            try:
                await jobs.edit([job.id], JobEdit(payload=Json("1")))
            except IllegalTransition:
                return  # a worker has it
            accepted.add(job.id)
            begun.set()

    for _ in range(8):
        job_type = a_type()
        made = [new_job(job_type=job_type) for _ in range(1000)]
        await jobs.enqueue([made])
        begun.clear()
        editing = [asyncio.create_task(edit_from_the_end(made[n::6])) for n in range(6)]
        await begun.wait()
        held = await claim(jobs, job_type, limit=1000)
        await asyncio.gather(*editing)
        held += await claim(jobs, job_type, limit=1000)
        assert len(held) == len(made)
        assert {job.payload for job in held if job.id in accepted} == {"1"}
        assert {job.payload for job in held if job.id not in accepted} <= {EMPTY_OBJECT}


async def test_edits_of_one_job_at_once_all_count(live_storage: Storage) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), await given_job(live_storage, tags=("a",))
    edits = [JobEdit(timeout_ms=5), JobEdit(retry_delay=1.0), JobEdit(dead_letter_job_type="x"), JobEdit(priority=4)]
    await asyncio.gather(*(jobs.edit([job.id], edit) for edit in edits))
    now = await jobs.get(job.id)
    assert (now.timeout_ms, now.retry_delay, now.dead_letter_job_type, now.priority) == (5, 1.0, "x", 4)
    labels = [(f"t{n}", f"u{n}") for n in range(8)]
    await asyncio.gather(*(jobs.edit([job.id], JobEdit(tags=tags)) for tags in labels))
    final = (await jobs.get(job.id)).tags
    assert final in labels
    found = [tag for tag in ("a", *(tag for pair in labels for tag in pair)) if await ids_tagged(live_storage, tag)]
    assert tuple(found) == final
    assert (await told(live_storage, job.id)).count(EventName.EDITED) == len(edits) + len(labels)


async def test_a_job_that_is_put_off_and_called_back_keeps_its_place_by_its_new_time(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    first = await given_job(storage, job_type=job_type)
    clock.advance(timedelta(milliseconds=1))
    second = await given_job(storage, job_type=job_type)
    clock.advance(SECOND)
    await jobs.edit([first.id], JobEdit(run_at=None))
    assert [job.id for job in await claim(jobs, job_type)] == [second.id, first.id]
