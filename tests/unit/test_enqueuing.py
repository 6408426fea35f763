"""Accepting jobs: shared writes, the search for a bad one, and writes of unknown outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from dataqueue.domain.job import Enqueued, JobStatus, Json, NewJob
from dataqueue.enqueuing import LARGEST_WRITE, Enqueuer
from dataqueue.errors import (
    AlreadyExists,
    DataQueueError,
    IdempotencyInProgress,
    NotFound,
    StorageNotReady,
    StorageRefused,
    StorageUnavailable,
)
from dataqueue.ids import new_id
from dataqueue.storage.port import JobStore

Units = Sequence[Sequence[NewJob]]


class FakeJobStore:
    """Keeps what it is given; `before` may refuse a write, `after` may lose its answer."""

    def __init__(self) -> None:
        self.writes: list[tuple[list[list[UUID]], bool]] = []
        self.waited: list[bool] = []
        self.kept: dict[UUID, NewJob] = {}
        self.taken: set[UUID] = set()
        self.before: Callable[[Units], None] = lambda _: None
        self.after: Callable[[Units], None] = lambda _: None
        self.open = asyncio.Event()
        self.open.set()
        self.begun = asyncio.Semaphore(0)

    async def enqueue(self, units: Units, *, again: bool = False, waited: bool = False) -> list[list[Enqueued]]:
        self.writes.append(([[job.id for job in unit] for unit in units], again))
        self.waited.append(waited)
        self.begun.release()
        await self.open.wait()
        self.before(units)
        if any(job.id in self.taken for unit in units for job in unit):
            raise AlreadyExists("the id") if len(units) == 1 else StorageRefused("one of several is bad")
        known: dict[str | None, NewJob] = {
            job.idempotency_key: job for job in self.kept.values() if job.idempotency_key is not None
        }
        answers = [[self._kept(job, known, again=again) for job in unit] for unit in units]
        self.after(units)
        return answers

    def _kept(self, job: NewJob, known: dict[str | None, NewJob], *, again: bool) -> Enqueued:
        first = known.get(job.idempotency_key, job)
        created = first is job and (again or job.id not in self.kept)
        self.kept.setdefault(first.id, first)
        return Enqueued(first.id, JobStatus.PENDING, created)


@pytest.fixture
def jobs() -> FakeJobStore:
    return FakeJobStore()


@pytest.fixture
def said() -> list[set[str]]:
    return []


@pytest.fixture
def enqueuer(jobs: FakeJobStore, said: list[set[str]]) -> Enqueuer:
    return Enqueuer(cast(JobStore, jobs), announce=said.append)


def a_job(job_type: str = "mail", **fields: Any) -> NewJob:
    return NewJob(id=new_id(), job_type=job_type, **fields)


def fails_times(count: int, error: Exception) -> Callable[[Units], None]:
    left = [error] * count

    def fail(_: Units) -> None:
        if left:
            raise left.pop()

    return fail


async def test_a_unit_is_answered_in_its_order(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    unit = [a_job() for _ in range(3)]
    assert await enqueuer.add(unit) == [Enqueued(job.id, JobStatus.PENDING, created=True) for job in unit]
    assert list(jobs.kept) == [job.id for job in unit]


async def test_a_caller_may_add_one_unit_after_the_other(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    async with asyncio.timeout(5):
        for _ in range(5):
            await enqueuer.add([a_job()])
    assert len(jobs.kept) == 5


async def test_nothing_to_store_is_not_written(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    assert await enqueuer.add([]) == []
    assert jobs.writes == []


async def test_units_that_arrive_while_one_is_written_share_the_next_write(
    enqueuer: Enqueuer, jobs: FakeJobStore
) -> None:
    jobs.open.clear()
    units = [[a_job(), a_job()] for _ in range(20)]
    adding = [asyncio.create_task(enqueuer.add(unit)) for unit in units]
    await jobs.begun.acquire()
    late = asyncio.create_task(enqueuer.add([a_job()]))
    jobs.open.set()
    answers = await asyncio.gather(*adding)
    await late
    assert [[answer.id for answer in unit] for unit in answers] == [[job.id for job in unit] for unit in units]
    assert len(jobs.writes) <= 3
    assert sum(len(written) for written, _ in jobs.writes) == 21


async def test_no_write_is_larger_than_a_thousand_jobs_but_for_a_unit_that_is(
    enqueuer: Enqueuer, jobs: FakeJobStore
) -> None:
    sizes = [400, 400, 400, 1, 1000, 1200]
    await asyncio.gather(*(enqueuer.add([a_job() for _ in range(size)]) for size in sizes))
    assert LARGEST_WRITE == 1000
    assert [sum(map(len, written)) for written, _ in jobs.writes] == [800, 401, 1000, 1200]


async def test_jobs_with_a_key_or_an_id_of_the_callers_go_in_writes_of_their_own(
    enqueuer: Enqueuer, jobs: FakeJobStore
) -> None:
    plain, keyed, named = [a_job()], [a_job(idempotency_key="k")], [a_job(id_is_callers=True)]
    mixed = [a_job(), a_job(idempotency_key="l")]
    await asyncio.gather(*(enqueuer.add(unit) for unit in (plain, keyed, named, mixed)))
    written = [{job_id for unit in units for job_id in unit} for units, _ in jobs.writes]
    assert {plain[0].id} in written
    assert {job.id for unit in (keyed, named, mixed) for job in unit} in written


async def test_a_keyed_write_that_waits_holds_up_no_plain_one(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    waiting = asyncio.Event()
    plain_write = jobs.enqueue

    async def enqueue(units: Units, *, again: bool = False, waited: bool = False) -> list[list[Enqueued]]:
        if any(job.is_keyed for unit in units for job in unit):
            await waiting.wait()
        return await plain_write(units, again=again)

    jobs.enqueue = enqueue  # type: ignore[method-assign]
    keyed = asyncio.create_task(enqueuer.add([a_job(idempotency_key="k")]))
    [answer] = await asyncio.wait_for(enqueuer.add([a_job()]), 1)
    assert answer.created
    assert not keyed.done()
    waiting.set()
    await keyed


@pytest.mark.parametrize("bad", [[0], [7], [15], [3, 4], [0, 5, 6, 15], list(range(16))], ids=str)
async def test_bad_units_of_a_shared_write_are_found_and_fail_alone(
    enqueuer: Enqueuer, jobs: FakeJobStore, bad: list[int]
) -> None:
    units = [[a_job(id_is_callers=True), a_job()] for _ in range(16)]
    jobs.taken = {units[number][0].id for number in bad}
    answers = await asyncio.gather(*(enqueuer.add(unit) for unit in units), return_exceptions=True)
    for number, (unit, answer) in enumerate(zip(units, answers, strict=True)):
        if number in bad:
            assert isinstance(answer, AlreadyExists)
        else:
            assert answer == [Enqueued(job.id, JobStatus.PENDING, created=True) for job in unit]
    good = [unit for number, unit in enumerate(units) if number not in bad]
    assert set(jobs.kept) == {job.id for unit in good for job in unit}


async def test_one_bad_unit_is_found_by_halving(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    units = [[a_job(id_is_callers=True)] for _ in range(64)]
    jobs.taken = {units[41][0].id}
    await asyncio.gather(*(enqueuer.add(unit) for unit in units), return_exceptions=True)
    assert len(jobs.writes) <= 2 + 2 * 6


async def test_a_key_in_progress_is_the_refusal_of_its_unit_alone(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    def held(units: Units) -> None:
        if any(job.idempotency_key == "held" for unit in units for job in unit):
            raise IdempotencyInProgress("held")

    jobs.before = held
    refused, answer = await asyncio.gather(
        enqueuer.add([a_job(idempotency_key="held")]),
        enqueuer.add([a_job(idempotency_key="free")]),
        return_exceptions=True,
    )
    assert isinstance(refused, IdempotencyInProgress)
    assert isinstance(answer, list)


async def test_only_the_whole_of_a_write_waits_for_the_keys_of_an_open_transaction(
    enqueuer: Enqueuer, jobs: FakeJobStore
) -> None:
    def held(_: Units) -> None:
        raise IdempotencyInProgress("held")

    jobs.before = held
    units = [[a_job(idempotency_key=f"held {n}")] for n in range(8)]
    assert all(isinstance(answer, IdempotencyInProgress) for answer in await enqueuer.write(units))
    assert jobs.waited == [False, *[True] * 14]


@pytest.mark.parametrize("fields", [{}, {"idempotency_key": "k"}, {"id_is_callers": True}], ids=["plain", "key", "id"])
async def test_a_write_of_unknown_outcome_is_written_again_with_the_same_ids(
    enqueuer: Enqueuer, jobs: FakeJobStore, said: list[set[str]], fields: dict[str, Any]
) -> None:
    jobs.after = fails_times(1, StorageUnavailable("the answer was lost", outcome_unknown=True))
    job = a_job(**fields)
    assert await enqueuer.add([job]) == [Enqueued(job.id, JobStatus.PENDING, created=True)]
    assert jobs.writes == [([[job.id]], False), ([[job.id]], True)]
    assert said == [{"mail"}]


async def test_once_an_outcome_was_unknown_every_later_write_says_so(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    errors = [StorageUnavailable("away"), StorageUnavailable("away"), StorageUnavailable("lost", outcome_unknown=True)]

    def fail(_: Units) -> None:
        if errors:
            raise errors.pop()

    jobs.after = fail
    [answer] = await enqueuer.add([a_job()])
    assert answer.created
    assert [again for _, again in jobs.writes] == [False, True, True, True]


async def test_a_storage_that_was_never_reached_is_said_to_be_away_at_once(
    enqueuer: Enqueuer, jobs: FakeJobStore, said: list[set[str]]
) -> None:
    jobs.before = fails_times(1, StorageUnavailable("no connection"))
    with pytest.raises(StorageUnavailable):
        await enqueuer.add([a_job()])
    assert len(jobs.writes) == 1
    assert said == []


async def test_a_storage_that_stays_away_is_given_up_within_a_second_and_a_half(
    enqueuer: Enqueuer, jobs: FakeJobStore
) -> None:
    jobs.before = fails_times(1000, StorageUnavailable("gone", outcome_unknown=True))
    units = [[a_job()] for _ in range(8)]
    answers = await asyncio.wait_for(
        asyncio.gather(*(enqueuer.add(unit) for unit in units), return_exceptions=True), 1.5
    )
    assert all(isinstance(answer, StorageUnavailable) for answer in answers)
    assert 2 < len(jobs.writes) < 30


async def test_a_storage_that_is_away_is_not_asked_for_each_unit_by_itself(
    enqueuer: Enqueuer, jobs: FakeJobStore
) -> None:
    jobs.before = fails_times(1000, StorageUnavailable("no connection"))
    await asyncio.gather(*(enqueuer.add([a_job()]) for _ in range(50)), return_exceptions=True)
    assert len(jobs.writes) <= 2


@pytest.mark.parametrize("error", [NotFound("no such namespace"), StorageNotReady("not migrated")])
async def test_what_no_unit_is_to_blame_for_is_the_answer_to_all_of_them(
    enqueuer: Enqueuer, jobs: FakeJobStore, error: DataQueueError
) -> None:
    jobs.before = fails_times(100, error)
    assert await enqueuer.write([[a_job()] for _ in range(8)]) == [error] * 8
    assert len(jobs.writes) == 1


async def test_a_caller_who_leaves_has_its_jobs_stored_all_the_same(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    jobs.open.clear()
    job = a_job()
    leaving = asyncio.create_task(enqueuer.add([job]))
    await jobs.begun.acquire()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    jobs.open.set()
    await enqueuer.settle()
    assert list(jobs.kept) == [job.id]


async def test_the_types_that_became_ready_are_said_once_a_write(enqueuer: Enqueuer, said: list[set[str]]) -> None:
    await enqueuer.add([a_job("mail"), a_job("mail"), a_job("thumbnail")])
    assert said == [{"mail", "thumbnail"}]


async def test_only_what_starts_now_and_is_new_is_said(enqueuer: Enqueuer, said: list[set[str]]) -> None:
    now = datetime.now(UTC)
    async with asyncio.timeout(5):
        await enqueuer.add([a_job(delay=timedelta(hours=1)), a_job(run_at=now + timedelta(hours=1))])
        assert said == []
        await enqueuer.add([a_job("due", run_at=now - timedelta(hours=1))])
        await enqueuer.add([a_job("first", idempotency_key="k")])
        await enqueuer.add([a_job("repeat", idempotency_key="k")])
    assert said == [{"due"}, {"first"}]


async def test_settling_waits_for_keyed_and_for_plain_writes(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    jobs.open.clear()
    adding = [asyncio.create_task(enqueuer.add([job])) for job in (a_job(), a_job(idempotency_key="k"))]
    for _ in adding:
        await jobs.begun.acquire()
    settling = asyncio.create_task(enqueuer.settle())
    await asyncio.sleep(0)
    assert not settling.done()
    jobs.open.set()
    await settling
    assert len(jobs.kept) == 2
    await asyncio.gather(*adding)


async def test_the_halves_of_a_write_of_unknown_outcome_are_repeats_too(enqueuer: Enqueuer, jobs: FakeJobStore) -> None:
    """A half that is not said to be a repeat meets what the first attempt stored, and is refused as a stranger's."""
    jobs.after = fails_times(1, StorageUnavailable("the answer was lost", outcome_unknown=True))

    def together(units: Units) -> None:
        if len(units) > 1 and jobs.kept:
            raise StorageRefused("one of several is bad")

    jobs.before = together
    units = [[a_job(id_is_callers=True)] for _ in range(4)]
    answers = await asyncio.gather(*(enqueuer.add(unit) for unit in units))
    assert [(len(written), again) for written, again in jobs.writes] == [
        (4, False), (4, True), (2, True), (1, True), (1, True), (2, True), (1, True), (1, True),
    ]  # fmt: skip
    assert answers == [[Enqueued(job.id, JobStatus.PENDING, created=True)] for [job] in units]


@pytest.mark.parametrize("fields", [{}, {"idempotency_key": "k"}], ids=["plain", "keyed"])
async def test_large_payloads_make_small_shared_writes(
    enqueuer: Enqueuer, jobs: FakeJobStore, fields: dict[str, Any]
) -> None:
    large = Json(f'"{"x" * (1 << 20)}"')
    units = [[a_job(payload=large, **fields)] for _ in range(10)]
    await asyncio.gather(*(enqueuer.add(unit) for unit in units))
    assert sum(len(written) for written, _ in jobs.writes) == 10
    assert max(len(written) for written, _ in jobs.writes) <= 4
