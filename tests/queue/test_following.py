"""A program that iterates over what happens, whoever does it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, closing

import pytest

from dataqueue import EventFilter, EventName, Invalid, PositionExpired, Queue, SyncQueue
from dataqueue.errors import DataQueueError
from dataqueue.streaming import following, subscriptions
from tests.api.support import eventually

SOON = 10


async def heard(queue: Queue, count: int, **options: object) -> list[tuple[str | None, str]]:
    """The type and name of so many events."""
    found = []
    async with asyncio.timeout(SOON), aclosing(queue.events(**options)) as events:  # type: ignore[arg-type]
        async for event in events:
            found.append((event.job_type, event.event.value))
            if len(found) == count:
                return found
    raise AssertionError("it ends never")


async def until_followed(queue: Queue) -> None:
    """Wait until somebody has begun to follow."""
    await eventually("somebody follows", lambda: queue._follower is not None and len(queue._follower.hub._index) > 0)


async def test_it_hears_what_other_processes_do_from_now_on(queue: Queue, storage_url: str) -> None:
    await queue.add_job("before")
    hearing = asyncio.create_task(heard(queue, 3))
    await until_followed(queue)
    async with Queue.open(storage_url) as another:
        added = await another.add_job("mail")
        await another.cancel_job(added.id)
        await another.retry_job(added.id)
    assert await hearing == [("mail", "job:added"), ("mail", "job:cancelled"), ("mail", "job:retried")]


async def test_it_goes_on_after_an_event_or_from_the_start(queue: Queue) -> None:
    added = [await queue.add_job(name) for name in ("one", "two", "three")]
    assert await heard(queue, 3, after="start") == [(name, "job:added") for name in ("one", "two", "three")]
    [event] = await queue.get_job_events(added[0].id)
    assert await heard(queue, 2, after=event.id) == [("two", "job:added"), ("three", "job:added")]


async def test_it_hears_of_tokens_that_belong_to_no_job(queue: Queue) -> None:
    token = await queue.create_token(tags=["a"])
    await queue.add_job("mail")
    await queue.complete_token(token.id)
    told = [(None, "token:created"), ("mail", "job:added"), (None, "token:completed")]
    assert await heard(queue, 3, after="start") == told
    assert await heard(queue, 2, after="start", matching=EventFilter(tags=("a",))) == [told[0], told[2]]
    # A filter of jobs has nothing to do with them.
    assert await heard(queue, 1, after="start", matching=EventFilter(job_types=("mail",))) == [told[1]]


async def test_it_is_narrowed_by_a_filter(queue: Queue) -> None:
    await queue.add_job("mail", tags=["a"])
    other = await queue.add_job("other", tags=["a", "b"])
    await queue.cancel_job(other.id)
    matching = EventFilter(tags=("b",), events=(EventName.CANCELLED,))
    assert await heard(queue, 1, matching=matching, after="start") == [("other", "job:cancelled")]


async def test_however_slowly_it_is_read_nothing_is_lost(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MOST_WAITING", 2)
    monkeypatch.setattr(following, "_PAGE", 3)
    found = list[int]()
    async with asyncio.timeout(SOON), aclosing(queue.events()) as events:
        first = asyncio.ensure_future(anext(events))
        await until_followed(queue)
        for round_ in range(5):
            await asyncio.gather(*(queue.add_job(f"{round_}-{number}") for number in range(10)))
            while len(found) < 10 * (round_ + 1):
                event = await (first if not found else anext(events))
                found.append(event.id)
    assert found == sorted(set(found))
    assert len(found) == 50


async def test_a_position_that_is_none_is_refused(queue: Queue) -> None:
    for after in ("then", -1, True, 1.5, None):
        with pytest.raises(Invalid) as refusal:
            await anext(queue.events(after=after))  # type: ignore[arg-type]
        assert refusal.value.loc == ("after",)
    with pytest.raises(PositionExpired):
        await anext(queue.events(after=10**9))


async def test_a_queue_that_is_closed_leaves_no_follower_behind(storage_url: str) -> None:
    before = asyncio.all_tasks()
    async with Queue.open(storage_url) as queue:
        hearing = asyncio.create_task(heard(queue, 1))
        await until_followed(queue)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        assert queue._follower is not None
        assert not queue._follower.hub.followers
    assert asyncio.all_tasks() == before


def test_a_program_without_a_loop_iterates_too(storage_url: str) -> None:
    with SyncQueue(storage_url) as queue:
        queue.add_job("mail")
        with closing(queue.events(after="start")) as events:
            assert next(events).job_type == "mail"
            queue.add_job("more")
            assert next(events).job_type == "more"


def test_an_iteration_that_waits_hears_that_its_queue_is_closed(storage_url: str) -> None:
    queue, ended = SyncQueue(storage_url), threading.Event()

    def follow() -> None:
        with pytest.raises(DataQueueError):
            next(queue.events())
        ended.set()

    thread = threading.Thread(target=follow)
    queue.add_job("mail")
    thread.start()
    while queue._queue()._follower is None:
        ended.wait(0.001)
    queue.close()
    assert ended.wait(SOON)
    thread.join()
