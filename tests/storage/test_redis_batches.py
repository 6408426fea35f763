"""A batch that is too large for one script is stored by several, and yet whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.job import JobStatus, Json, NewJob
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.redis import enqueue
from dataqueue.storage.redis.enqueue import pieces_of
from dataqueue.storage.redis.storage import RedisStorage
from tests.redis_servers import RedisServer
from tests.storage.given import NAMESPACE, claim, new_job

LEFT = timedelta(seconds=5)


def a_batch(count: int = 450, **fields: Any) -> list[NewJob]:
    return [new_job(job_type="mail", **fields) for _ in range(count)]


async def given_left_batch(storage: RedisStorage, jobs: Sequence[NewJob], *, taken_up: int = 0) -> None:
    """Its jobs were kept, and so many of them taken up when the caller died."""
    await storage.server.run("jobs/lay_down", NAMESPACE, str(jobs[0].id), *pieces_of(jobs))
    while taken_up > 0:
        count, *_ = await storage.server.run("jobs/take_up", NAMESPACE, str(jobs[0].id), 0)
        taken_up -= int(count)


async def stored(storage: RedisStorage) -> int:
    return (await storage.tally(NAMESPACE).stats()).by_status[JobStatus.PENDING]


def nothing_is_kept(redis: RedisServer) -> None:
    assert list(redis.client.scan_iter("*:batch*")) == []


async def test_no_script_stores_more_than_its_share(
    storage: RedisStorage, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, int]] = []
    run = storage.server.run

    async def noted(verb: str, namespace: str, *values: Any) -> Any:
        answer = await run(verb, namespace, *values)
        ran.append((verb, int(answer[0]) if verb == "jobs/take_up" else 0))
        return answer

    monkeypatch.setattr(storage.server, "run", noted)
    batch = a_batch()
    [answers] = await storage.jobs(NAMESPACE).enqueue([batch])
    assert ran == [("jobs/lay_down", 0), *(("jobs/take_up", count) for count in [50] * 9)]
    assert [(one.id, one.created) for one in answers] == [(job.id, True) for job in batch]
    assert [one.id for one in await claim(storage.jobs(NAMESPACE), "mail", limit=1000)] == [job.id for job in batch]
    nothing_is_kept(redis)


async def test_a_key_that_was_there_or_comes_twice_stands_for_the_first(storage: RedisStorage) -> None:
    [[first]] = await storage.jobs(NAMESPACE).enqueue([[new_job(job_type="mail", idempotency_key="there")]])
    batch = [*a_batch(210), new_job(idempotency_key="there"), *a_batch(2, idempotency_key="twice"), *a_batch(210)]
    [answers] = await storage.jobs(NAMESPACE).enqueue([batch])
    assert [place for place, one in enumerate(answers) if not one.created] == [210, 212]
    assert (answers[210].id, answers[212].id) == (first.id, batch[211].id)
    assert await stored(storage) == len(batch) - 1


@pytest.mark.parametrize("taken_up", [0, 100])
async def test_what_a_caller_left_is_finished_by_others_when_it_does_not_come_back(
    storage: RedisStorage, clock: ManualClock, redis: RedisServer, taken_up: int
) -> None:
    batch = a_batch()
    await given_left_batch(storage, batch, taken_up=taken_up)
    assert (await storage.upkeep.stage(limit=1000)).count == 0
    assert await stored(storage) == taken_up
    clock.advance(LEFT)
    assert (await storage.upkeep.stage(limit=1000)).count == 450 - taken_up
    assert [one.id for one in await claim(storage.jobs(NAMESPACE), "mail", limit=1000)] == [job.id for job in batch]
    nothing_is_kept(redis)


@pytest.mark.parametrize("taken_up", [0, 100, 450])
async def test_a_caller_who_comes_back_finds_its_batch_and_stores_nothing_twice(
    storage: RedisStorage, redis: RedisServer, taken_up: int
) -> None:
    batch = a_batch()
    await given_left_batch(storage, batch, taken_up=taken_up)
    [answers] = await storage.jobs(NAMESPACE).enqueue([batch], again=True)
    assert [(one.id, one.created) for one in answers] == [(job.id, True) for job in batch]
    assert await stored(storage) == 450
    nothing_is_kept(redis)


async def test_a_job_that_was_edited_before_its_caller_came_back_keeps_none_of_the_batch_away(
    storage: RedisStorage, redis: RedisServer
) -> None:
    batch = a_batch()
    await given_left_batch(storage, batch, taken_up=450)
    await storage.jobs(NAMESPACE).edit([batch[3].id], JobEdit(payload=Json("1")))
    [answers] = await storage.jobs(NAMESPACE).enqueue([batch], again=True)
    assert [(one.id, one.created) for one in answers] == [(job.id, True) for job in batch]
    assert (await storage.jobs(NAMESPACE).get(batch[3].id)).payload == "1"
    assert await stored(storage) == 450
    nothing_is_kept(redis)


async def test_a_caller_whose_batch_others_took_up_meanwhile_hears_what_became_of_each(
    storage: RedisStorage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = storage.server.run

    async def interrupted(verb: str, namespace: str, *values: Any) -> Any:
        answer = await run(verb, namespace, *values)
        if verb == "jobs/lay_down":
            clock.advance(LEFT)
            monkeypatch.setattr(storage.server, "run", run)
            await enqueue.take_up_left_batches(storage.server, NAMESPACE)
        return answer

    monkeypatch.setattr(storage.server, "run", interrupted)
    batch = [*a_batch(300, idempotency_key="one"), *a_batch(10)]
    [answers] = await storage.jobs(NAMESPACE).enqueue([batch])
    assert {one.id for one in answers[:300]} == {batch[0].id}
    assert [one.id for one in answers[300:]] == [job.id for job in batch[300:]]
    assert await stored(storage) == 11


@pytest.mark.parametrize("units", [1, 3])
async def test_an_outcome_is_unknown_once_part_of_it_may_be_stored(
    storage: RedisStorage, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    run, verbs = storage.server.run, list[str]()

    async def broken(verb: str, namespace: str, *values: Any) -> Any:
        verbs.append(verb)
        if len(verbs) == 2:
            raise StorageUnavailable("away", outcome_unknown=False)
        return await run(verb, namespace, *values)

    monkeypatch.setattr(storage.server, "run", broken)
    asked = [a_batch()] if units == 1 else [a_batch(40) for _ in range(units)]
    with pytest.raises(StorageUnavailable) as away:
        await storage.jobs(NAMESPACE).enqueue(asked)
    assert away.value.outcome_unknown
