"""Nothing to pending."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import EARLIEST, EMPTY_OBJECT, LATEST, Enqueued, JobStatus, Json, NewJob
from dataqueue.domain.retry import RetryPolicy
from dataqueue.errors import AlreadyExists, DataQueueError, IdempotencyInProgress, StorageRefused, StorageUnavailable
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import HOUR, NAMESPACE, REACHABLE, SECOND, a_type, claim, given_job, new_job, told
from tests.storage.texts import JSON_TEXTS, TAGS

NOTHING_YET = (
    *("idempotency_key", "timeout_ms", "retry_delay", "retry_backoff", "retry_delay_max", "failure_reason"),
    *("dead_letter_job_type", "dead_letter_job_id", "dead_lettered_at", "group", "depends_on", "cron_id"),
    *("progress", "output", "pending_reason", "wait_until", "wait_token_id", "next_attempt_at"),
    *("locked_by", "locked_at", "lease_expires_at", "started_at", "completed_at"),
    *("last_retried_at", "last_failed_at", "last_cancelled_at"),
)


async def test_a_job_is_kept_as_it_was_asked_for(storage: Storage, clock: ManualClock) -> None:
    asked = new_job(
        job_type="mail/send:v2",
        payload=Json('{"to": "ann"}'),
        priority=7,
        max_attempts=12,
        timeout_ms=3_600_000,
        tags=("b", "a"),
        idempotency_key="order 4711",
        retry=RetryPolicy(delay=0.1, backoff=False, delay_max=0.0),
        dead_letter_job_type="mail/dead",
        force_kill_on_timeout=True,
    )
    [[answer]] = await storage.jobs(NAMESPACE).enqueue([[asked]])
    assert answer == Enqueued(asked.id, JobStatus.PENDING, created=True)

    job = await storage.jobs(NAMESPACE).get(asked.id)
    for name in ("id", "job_type", "payload", "priority", "max_attempts", "timeout_ms", "tags", "idempotency_key"):
        assert getattr(job, name) == getattr(asked, name)
    assert (job.retry_delay, job.retry_backoff, job.retry_delay_max) == (0.1, False, 0.0)
    assert (job.dead_letter_job_type, job.dead_letter_job_id, job.dead_lettered_at) == ("mail/dead", None, None)
    assert job.force_kill_on_timeout
    assert (job.namespace, job.status, job.pending_reason) == (NAMESPACE, JobStatus.PENDING, None)
    assert job.created_at == job.updated_at == job.run_at == clock.now()


async def test_what_was_not_asked_for_has_its_default(storage: Storage) -> None:
    job = await given_job(storage)
    assert (job.payload, job.priority, job.tags, job.max_attempts) == (EMPTY_OBJECT, 0, (), 3)
    assert (job.attempts, job.crashes, job.cancel_requested, job.steps) == (0, 0, False, EMPTY_OBJECT)
    assert job.error_history == "[]"
    for name in NOTHING_YET:
        assert getattr(job, name) is None, name


async def test_the_retry_fields_a_caller_left_out_are_told_from_those_given_as_the_default(storage: Storage) -> None:
    said = await given_job(storage, retry=RetryPolicy(backoff=True))
    assert (said.retry_delay, said.retry_backoff, said.retry_delay_max) == (None, True, None)
    held = await claim(storage.jobs(NAMESPACE), said.job_type)
    assert held[0].retry == RetryPolicy(backoff=True)


async def test_the_extremes_of_each_number_fit(storage: Storage) -> None:
    least = await given_job(storage, priority=-(2**15), max_attempts=1, timeout_ms=1)
    most = await given_job(storage, priority=2**15 - 1, max_attempts=1000, timeout_ms=100 * 365 * 86_400_000)
    assert (least.priority, least.max_attempts, least.timeout_ms) == (-32768, 1, 1)
    assert (most.priority, most.max_attempts, most.timeout_ms) == (32767, 1000, 3_153_600_000_000)


async def test_payloads_come_back_letter_by_letter(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = {name: new_job(job_type=job_type, payload=Json(text)) for name, text in JSON_TEXTS.items()}
    await jobs.enqueue([list(asked.values())])
    assert {name: (await jobs.get(job.id)).payload for name, job in asked.items()} == JSON_TEXTS
    assert [job.payload for job in await claim(jobs, job_type)] == list(JSON_TEXTS.values())


async def test_tags_come_back_as_they_were_and_in_order(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = {name: new_job(job_type=job_type, tags=tags) for name, tags in TAGS.items()}
    await jobs.enqueue([[job] for job in asked.values()])
    assert {name: (await jobs.get(job.id)).tags for name, job in asked.items()} == TAGS
    assert [job.tags for job in await claim(jobs, job_type)] == list(TAGS.values())


@pytest.mark.parametrize("ahead", [timedelta(microseconds=1), HOUR, timedelta(days=36_500)])
async def test_a_job_for_later_is_scheduled(storage: Storage, clock: ManualClock, ahead: timedelta) -> None:
    by_instant = await given_job(storage, run_at=clock.now() + ahead)
    by_delay = await given_job(storage, delay=ahead)
    for job in (by_instant, by_delay):
        assert (job.run_at, job.pending_reason) == (clock.now() + ahead, "scheduled")
        assert await claim(storage.jobs(NAMESPACE), job.job_type) == []


async def test_a_job_without_delay_is_ready(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage, delay=timedelta())
    assert (job.run_at, job.pending_reason) == (clock.now(), None)


@pytest.mark.parametrize("past", ["2029-12-31T23:59:59.999999", "2001-01-01T00:00:00"])
async def test_a_job_for_an_instant_gone_by_is_ready_and_keeps_the_instant(storage: Storage, past: str) -> None:
    run_at = datetime.fromisoformat(past).replace(tzinfo=UTC)
    job = await given_job(storage, run_at=run_at)
    assert (job.run_at, job.pending_reason) == (run_at, None)
    assert [held.id for held in await claim(storage.jobs(NAMESPACE), job.job_type)] == [job.id]


@pytest.mark.parametrize(
    ("far", "is_due"), [(EARLIEST, True), (LATEST - timedelta(microseconds=1), False)], ids=["first", "last"]
)
async def test_the_first_and_the_last_instant_are_instants_like_others(
    storage: Storage, far: datetime, is_due: bool
) -> None:
    job = await given_job(storage, run_at=far)
    assert job.run_at == far
    assert len(await claim(storage.jobs(NAMESPACE), job.job_type)) == is_due


@pytest.mark.parametrize("far", [EARLIEST - timedelta(microseconds=1), LATEST, datetime.max.replace(tzinfo=UTC)])
def test_an_instant_that_not_every_backend_keeps_makes_no_job(far: datetime) -> None:
    with pytest.raises(ValueError, match="run_at"):
        new_job(run_at=far)


async def test_answers_come_unit_by_unit_and_in_order(storage: Storage) -> None:
    units = [[new_job() for _ in range(count)] for count in (1, 3, 0, 2)]
    answers = await storage.jobs(NAMESPACE).enqueue(units)
    assert [[answer.id for answer in unit] for unit in answers] == [[job.id for job in unit] for unit in units]
    assert all(answer.created for unit in answers for answer in unit)


async def test_nothing_to_store_is_no_error(storage: Storage) -> None:
    assert await storage.jobs(NAMESPACE).enqueue([]) == []
    assert await storage.jobs(NAMESPACE).enqueue([[]]) == [[]]
    assert (await storage.jobs(NAMESPACE).page(JobFilter(), before=None, limit=10)).jobs == []


async def test_a_thousand_jobs_go_in_one_write_and_keep_the_order_of_the_request(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = [new_job(job_type=job_type) for _ in range(1000)]
    await jobs.enqueue([asked])
    assert [job.id for job in await claim(jobs, job_type, limit=1001)] == [job.id for job in asked]


async def test_keyed_jobs_keep_the_order_of_the_request_whatever_their_keys(storage: Storage) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = [new_job(job_type=job_type, idempotency_key=key) for key in ("z", "a", None, "m", "é", "Z")]
    await jobs.enqueue([asked])
    assert [job.id for job in await claim(jobs, job_type)] == [job.id for job in asked]


@pytest.mark.parametrize("status", REACHABLE)
async def test_a_repeated_key_finds_the_first_job_wherever_it_stands_and_changes_nothing(
    storage: Storage, status: JobStatus
) -> None:
    jobs = storage.jobs(NAMESPACE)
    first = await given_job(storage, status=status, idempotency_key="k")
    events = await told(storage, first.id)
    repeat = new_job(idempotency_key="k", payload=Json("[1]"), priority=9)
    assert await jobs.enqueue([[repeat]]) == [[Enqueued(first.id, status, created=False)]]
    assert await jobs.get(first.id) == first
    assert await told(storage, first.id) == events
    assert (await jobs.page(JobFilter(), before=None, limit=10)).jobs == [first]


async def test_fifty_equal_keys_at_once_make_one_job(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    answers = await asyncio.gather(*(jobs.enqueue([[new_job(idempotency_key="k")]]) for _ in range(50)))
    enqueued = [answer for [[answer]] in answers]
    [winner] = [answer for answer in enqueued if answer.created]
    assert {answer.id for answer in enqueued} == {winner.id}
    assert [job.id for job in (await jobs.page(JobFilter(), before=None, limit=10)).jobs] == [winner.id]


@pytest.mark.parametrize("apart", [True, False], ids=["two units", "one unit"])
async def test_equal_keys_inside_one_call_make_one_job(storage: Storage, apart: bool) -> None:
    first, other, repeat = (new_job(idempotency_key=key) for key in ("k", "l", "k"))
    units = [[first], [other], [repeat]] if apart else [[first, other, repeat]]
    answers = [answer for unit in await storage.jobs(NAMESPACE).enqueue(units) for answer in unit]
    assert [answer.id for answer in answers] == [first.id, other.id, first.id]
    assert [answer.created for answer in answers] == [True, True, False]


async def test_keys_that_differ_in_the_least_are_different(storage: Storage) -> None:
    keys = ["k", "K", "k ", " k", "\uff4b", "e\u0301", "\u00e9", "NULL", "null", "k" * 255, "k" * 254, "€" * 255]
    [answers] = await storage.jobs(NAMESPACE).enqueue([[new_job(idempotency_key=key) for key in keys]])
    assert all(answer.created for answer in answers)


async def test_writers_with_the_same_keys_in_different_orders_do_not_block_each_other(storage: Storage) -> None:
    jobs, keys = storage.jobs(NAMESPACE), [f"key {n}" for n in range(100)]

    async def write(order: list[str]) -> int:
        [answers] = await jobs.enqueue([[new_job(idempotency_key=key) for key in order]])
        return sum(answer.created for answer in answers)

    orders = [keys, keys[::-1], keys[50:] + keys[:50], keys[::2] + keys[1::2]]
    assert sum(await asyncio.gather(*map(write, orders))) == len(keys)


async def test_writers_of_the_same_ids_in_different_orders_do_not_block_each_other(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    asked = [new_job(id_is_callers=True, job_type="email") for _ in range(300)]
    answers = await asyncio.gather(*(jobs.enqueue([order]) for order in (asked, asked[::-1])), return_exceptions=True)
    assert {type(answer) for answer in answers} == {list, AlreadyExists}, answers


@pytest.mark.parametrize("status", REACHABLE)
async def test_an_id_that_is_taken_is_refused_and_the_place_named(storage: Storage, status: JobStatus) -> None:
    jobs, taken = storage.jobs(NAMESPACE), await given_job(storage, status=status)
    unit = [new_job(), new_job(id=taken.id, id_is_callers=True), new_job()]
    with pytest.raises(AlreadyExists) as refusal:
        await jobs.enqueue([unit])
    assert refusal.value.index == 1
    assert (await jobs.page(JobFilter(), before=None, limit=10)).jobs == [taken]


async def test_an_id_that_is_taken_is_a_repeat_when_the_key_is_the_same(storage: Storage) -> None:
    first = await given_job(storage, idempotency_key="k")
    repeat = new_job(id=first.id, id_is_callers=True, idempotency_key="k")
    assert await storage.jobs(NAMESPACE).enqueue([[repeat]]) == [[Enqueued(first.id, first.status, created=False)]]


async def test_an_id_that_is_taken_is_refused_when_the_key_is_another(storage: Storage) -> None:
    first = await given_job(storage, idempotency_key="k")
    for key in ("l", None):
        with pytest.raises(AlreadyExists):
            await storage.jobs(NAMESPACE).enqueue([[new_job(id=first.id, id_is_callers=True, idempotency_key=key)]])


async def test_two_jobs_of_one_unit_cannot_have_the_same_id(storage: Storage) -> None:
    jobs, first = storage.jobs(NAMESPACE), new_job(id_is_callers=True, payload=Json("1"))
    with pytest.raises(AlreadyExists) as refusal:
        await jobs.enqueue([[new_job(), first, replace(first, payload=Json("2"))]])
    assert refusal.value.index == 2
    assert (await jobs.page(JobFilter(), before=None, limit=10)).jobs == []


async def test_two_requests_in_one_write_cannot_both_be_given_the_same_id(storage: Storage) -> None:
    jobs, first = storage.jobs(NAMESPACE), new_job(id_is_callers=True, payload=Json("1"))
    with pytest.raises(StorageRefused):
        await jobs.enqueue([[first], [replace(first, payload=Json("2"))]])
    assert (await jobs.page(JobFilter(), before=None, limit=10)).jobs == []


async def test_a_write_of_several_requests_stores_all_or_nothing(storage: Storage) -> None:
    jobs, taken = storage.jobs(NAMESPACE), await given_job(storage)
    bad = new_job(id=taken.id, id_is_callers=True)
    with pytest.raises(StorageRefused):
        await jobs.enqueue([[new_job(idempotency_key="a")], [bad], [new_job(idempotency_key="b")]])
    assert (await jobs.page(JobFilter(), before=None, limit=10)).jobs == [taken]


async def test_a_key_in_a_refused_write_is_free_again(storage: Storage) -> None:
    jobs, taken = storage.jobs(NAMESPACE), await given_job(storage)
    with pytest.raises(AlreadyExists):
        await jobs.enqueue([[new_job(idempotency_key="k"), new_job(id=taken.id, id_is_callers=True)]])
    [[answer]] = await jobs.enqueue([[new_job(idempotency_key="k")]])
    assert answer.created


async def _once_more(storage: Storage, *units: list[NewJob]) -> list[list[Enqueued]]:
    return await storage.jobs(NAMESPACE).enqueue(units, again=True)


@pytest.mark.parametrize("fields", [{}, {"idempotency_key": "k"}, {"id_is_callers": True}], ids=["plain", "key", "id"])
async def test_writing_again_what_had_been_stored_answers_created_and_stores_nothing(
    storage: Storage, fields: dict[str, object]
) -> None:
    jobs, asked = storage.jobs(NAMESPACE), new_job(payload=Json('{"a": 1.0}'), **fields)
    first = await jobs.enqueue([[asked]])
    before = await jobs.get(asked.id)
    assert await _once_more(storage, [asked]) == first == [[Enqueued(asked.id, JobStatus.PENDING, created=True)]]
    assert await jobs.get(asked.id) == before
    assert await told(storage, asked.id) == [EventName.ADDED]


@pytest.mark.parametrize("fields", [{}, {"idempotency_key": "k"}, {"id_is_callers": True}], ids=["plain", "key", "id"])
async def test_writing_again_what_had_not_been_stored_stores_it(storage: Storage, fields: dict[str, object]) -> None:
    asked = new_job(**fields)
    assert await _once_more(storage, [asked]) == [[Enqueued(asked.id, JobStatus.PENDING, created=True)]]
    assert await told(storage, asked.id) == [EventName.ADDED]


async def test_writing_again_tells_our_own_job_from_that_of_another_with_the_same_key(storage: Storage) -> None:
    theirs = await given_job(storage, idempotency_key="k")
    assert await _once_more(storage, [new_job(idempotency_key="k")]) == [
        [Enqueued(theirs.id, JobStatus.PENDING, created=False)]
    ]


async def test_writing_again_does_not_take_a_strangers_job_for_our_own(storage: Storage) -> None:
    theirs = await given_job(storage, payload=Json("1"))
    for other in ({"payload": Json("2"), "job_type": theirs.job_type}, {"payload": Json("1")}):
        with pytest.raises(AlreadyExists):
            await _once_more(storage, [new_job(id=theirs.id, id_is_callers=True, **other)])


async def test_writing_again_several_units_stores_the_missing_ones_only(storage: Storage) -> None:
    stored, missing = new_job(idempotency_key="a"), new_job(idempotency_key="b")
    await storage.jobs(NAMESPACE).enqueue([[stored]])
    answers = await _once_more(storage, [stored], [missing])
    assert [answer.created for unit in answers for answer in unit] == [True, True]
    for job in (stored, missing):
        assert await told(storage, job.id) == [EventName.ADDED]


async def test_a_refusal_says_that_a_request_was_at_fault_and_never_that_the_storage_is_away(storage: Storage) -> None:
    taken = await given_job(storage)
    with pytest.raises(DataQueueError) as refusal:
        await storage.jobs(NAMESPACE).enqueue([[new_job(id=taken.id, id_is_callers=True)]])
    assert not isinstance(refusal.value, StorageUnavailable | IdempotencyInProgress)


async def test_jobs_are_numbered_in_the_order_of_enqueue_whatever_their_ids(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    ids = sorted((new_id() for _ in range(3)), reverse=True)
    for job_id in ids:
        await jobs.enqueue([[new_job(id=job_id, delay=SECOND)]])
    newest_first = (await jobs.page(JobFilter(), before=None, limit=10)).jobs
    assert [job.id for job in newest_first] == ids[::-1]
    assert [job.seq for job in newest_first] == sorted((job.seq for job in newest_first), reverse=True)
