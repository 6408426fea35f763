"""Slots are kept full, and never overfull; hints wake, polls find the rest."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

from dataqueue import HandlerRegistry
from dataqueue.domain.retry import RetryPolicy
from dataqueue.storage.port import Hint, Storage
from tests.processing.a_worker import LONG, Meddled, a_worker, completed, enqueue
from tests.storage.given import NAMESPACE, eventually
from tests.workers.processes import until

Open = Callable[[], Storage]


async def test_a_slot_is_filled_again_without_waiting_for_the_others(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    finish = asyncio.Event()

    @registry.handler("slow")
    async def slow() -> None:
        await finish.wait()

    @registry.handler("quick")
    async def quick() -> None: ...

    slow_ones = await enqueue(live_storage, "slow", 7, priority=1)
    quick_ones = await enqueue(live_storage, "quick", 20)
    async with a_worker(live_storage, registry, open_storage=open_another, concurrency=8, poll_seconds=LONG):
        await completed(live_storage, quick_ones)
        assert not await live_storage.jobs(NAMESPACE).ended(slow_ones)
        finish.set()
        await completed(live_storage, slow_ones)


async def test_no_more_run_at_a_time_than_there_are_slots(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def enter(by: int) -> None:
        nonlocal running, most
        with lock:
            running += by
            most = max(most, running)

    @registry.handler("async")
    async def in_loop() -> None:
        enter(1)
        await asyncio.sleep(0.002)
        enter(-1)

    @registry.handler("plain")
    def in_thread() -> None:
        enter(1)
        threading.Event().wait(0.002)
        enter(-1)

    job_ids = [*await enqueue(live_storage, "async", 40), *await enqueue(live_storage, "plain", 40)]
    async with a_worker(live_storage, registry, open_storage=open_another, concurrency=5):
        await completed(live_storage, job_ids)
    assert most == 5


async def test_many_jobs_take_few_round_trips(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("nothing")
    async def nothing() -> None: ...

    job_ids = await enqueue(live_storage, "nothing", 1000)
    storage = Meddled(live_storage)
    async with a_worker(storage, registry, open_storage=open_another, concurrency=100):
        await completed(live_storage, job_ids)
        assert storage.calls["claim"] + storage.calls["complete"] < 100


async def test_a_hint_wakes_the_worker_long_before_it_polls(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    storage = Meddled(live_storage)
    async with a_worker(storage, registry, open_storage=open_another, poll_seconds=LONG):
        await until(lambda: storage.calls["claim"], "the worker has looked in vain")
        job_ids = await enqueue(live_storage, "mail")

        async def done_after_a_hint() -> bool | None:
            await live_storage.notifier.publish(Hint("ready", NAMESPACE, ("mail",)))
            return True if await live_storage.jobs(NAMESPACE).ended(job_ids) else None

        await eventually("the job is done", done_after_a_hint)


async def test_a_poll_finds_what_no_hint_tells(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    storage = Meddled(live_storage)
    async with a_worker(storage, registry, open_storage=open_another, poll_seconds=0.1):
        await until(lambda: storage.calls["claim"], "the worker has looked in vain")
        await completed(live_storage, await enqueue(live_storage, "mail"))


async def test_what_is_done_is_hinted_to_those_who_wait(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    async with live_storage.notifier.listen() as hints, a_worker(live_storage, registry, open_storage=open_another):
        hearing = asyncio.create_task(_first_ended(hints))

        async def heard() -> bool | None:
            await enqueue(live_storage, "mail")
            return hearing.done() or None

        await eventually("a hint says that jobs have ended", heard)


async def _first_ended(hints: AsyncIterator[Hint]) -> Hint:
    async for hint in hints:
        if hint.kind == "ended":
            return hint
    raise AssertionError


async def test_an_attempt_that_may_be_repeated_at_once_is_long_before_a_poll(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    looked_at, failed_at, again_at = time.monotonic(), 0.0, 0.0
    fail = asyncio.Event()

    async def look() -> None:
        nonlocal looked_at
        looked_at = time.monotonic()

    @registry.handler("mail")
    async def send() -> None:
        nonlocal failed_at, again_at
        if failed_at:
            again_at = time.monotonic()
            return
        await fail.wait()
        failed_at = time.monotonic()
        raise OSError("no mail server")

    job_ids = await enqueue(live_storage, "mail", retry=RetryPolicy(delay=0, backoff=False))
    storage = Meddled(live_storage, {"claim": look})
    async with a_worker(storage, registry, open_storage=open_another, poll_seconds=LONG):

        async def heard() -> bool | None:
            await live_storage.notifier.publish(Hint("ready", NAMESPACE, ("mail",)))
            return True if storage.calls["claim"] > 4 else None

        # The first look, and three more because it found something: a fifth is a hint's.
        await eventually("it hears hints", heard)
        await until(lambda: time.monotonic() - looked_at > 0.3, "it looks no more by itself")
        fail.set()
        await completed(live_storage, job_ids)
    assert again_at - failed_at < 0.5
