"""Who works: beats, orders, and what is held."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.workers import Orders, WorkerSeen
from dataqueue.errors import NotFound
from dataqueue.storage.port import LIVE_FOR, Storage, WorkerRegistry
from tests.storage.given import NAMESPACE, SECOND, claim_this, given_claimed_job, given_job

DAY = timedelta(days=1)


async def beat(workers: WorkerRegistry, worker_id: str = "ann", *job_types: str) -> Orders:
    return await workers.beat(worker_id, kind="python", job_types=job_types)


async def ids(storage: Storage, namespace: str = NAMESPACE) -> list[str]:
    return [worker.id for worker in await storage.workers(namespace).live()]


async def test_a_worker_that_beats_is_seen_with_what_it_serves_and_holds(storage: Storage, clock: ManualClock) -> None:
    workers, began = storage.workers(NAMESPACE), clock.now()
    assert await workers.live() == []
    assert await beat(workers, "ann", "mail", "report") is Orders.RUN
    held = [await given_claimed_job(storage, worker_id="ann") for _ in range(2)]
    await given_claimed_job(storage, worker_id="bob")
    await storage.jobs(NAMESPACE).complete([held[0].lease], outputs=[None])
    clock.advance(10 * SECOND)
    await workers.beat("ann", kind="pull", job_types=["mail"])
    seen = WorkerSeen(
        id="ann", kind="pull", job_types=("mail",), jobs_held=1, started_at=began, last_beat_at=clock.now(),
        state=Orders.RUN,
    )  # fmt: skip
    assert await workers.live() == [seen]


async def test_workers_are_listed_by_id_in_code_point_order(storage: Storage) -> None:
    for worker_id in ("b", "a-1", "A", "a/1", "a"):
        await beat(storage.workers(NAMESPACE), worker_id)
    assert await ids(storage) == sorted(["b", "a-1", "A", "a/1", "a"])


async def test_a_worker_is_live_for_a_minute_after_its_last_beat(storage: Storage, clock: ManualClock) -> None:
    await beat(storage.workers(NAMESPACE))
    clock.advance(LIVE_FOR - SECOND)
    assert await ids(storage) == ["ann"]
    clock.advance(SECOND)
    assert await ids(storage) == []
    await beat(storage.workers(NAMESPACE))
    assert await ids(storage) == ["ann"]


async def test_a_worker_that_leaves_is_gone_at_once(storage: Storage) -> None:
    workers = storage.workers(NAMESPACE)
    await beat(workers)
    await beat(workers, "bob")
    await workers.leave("ann")
    await workers.leave("nobody")
    assert await ids(storage) == ["bob"]


async def test_a_worker_that_is_to_drain_hears_of_it_at_every_beat_and_others_do_not(storage: Storage) -> None:
    workers = storage.workers(NAMESPACE)
    await beat(workers)
    await beat(workers, "bob")
    for _ in range(2):
        drained = await workers.drain("ann")
        assert (drained.id, drained.state) == ("ann", Orders.DRAIN)
        assert await beat(workers) is Orders.DRAIN
        assert await beat(workers, "bob") is Orders.RUN
    assert [(one.id, one.state) for one in await workers.live()] == [("ann", Orders.DRAIN), ("bob", Orders.RUN)]


async def test_what_a_drained_worker_holds_stays_its_own(storage: Storage) -> None:
    workers, held = storage.workers(NAMESPACE), await given_claimed_job(storage, worker_id="ann")
    await beat(workers)
    assert (await workers.drain("ann")).jobs_held == 1
    await storage.jobs(NAMESPACE).complete([held.lease], outputs=[None])
    assert [one.jobs_held for one in await workers.live()] == [0]


async def test_a_worker_that_is_not_there_or_silent_cannot_be_drained(storage: Storage, clock: ManualClock) -> None:
    workers = storage.workers(NAMESPACE)
    await beat(workers)
    with pytest.raises(NotFound):
        await workers.drain("bob")
    clock.advance(LIVE_FOR)
    with pytest.raises(NotFound):
        await workers.drain("ann")


async def test_one_that_was_taken_for_gone_starts_anew(storage: Storage, clock: ManualClock) -> None:
    workers = storage.workers(NAMESPACE)
    await beat(workers)
    await workers.drain("ann")
    clock.advance(LIVE_FOR - SECOND)
    assert await beat(workers) is Orders.DRAIN
    clock.advance(LIVE_FOR)
    assert await beat(workers) is Orders.RUN
    assert [(one.state, one.started_at) for one in await workers.live()] == [(Orders.RUN, clock.now())]


async def test_workers_long_silent_are_forgotten(storage: Storage, clock: ManualClock) -> None:
    workers = storage.workers(NAMESPACE)
    for worker_id in ("ann", "bob"):
        await beat(workers, worker_id)
    clock.advance(DAY - SECOND)
    await beat(workers, "eve")
    assert await storage.upkeep.forget_workers(silent_for=DAY) == 0
    clock.advance(2 * SECOND)
    assert await storage.upkeep.forget_workers(silent_for=DAY) == 2
    assert await storage.upkeep.forget_workers(silent_for=DAY) == 0
    assert await ids(storage) == ["eve"]


async def test_workers_of_one_namespace_are_not_those_of_another(storage: Storage) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"k", prefix="dq_")
    here, there = storage.workers(NAMESPACE), storage.workers("other")
    await beat(here)
    with pytest.raises(NotFound):
        await there.drain("ann")
    await there.leave("ann")
    assert (await ids(storage), await ids(storage, "other")) == (["ann"], [])
    await beat(there)
    await claim_this(storage.jobs(NAMESPACE), await given_job(storage), worker_id="ann")
    assert [one.jobs_held for one in await there.live()] == [0]
    await there.drain("ann")
    assert await beat(here) is Orders.RUN


async def test_a_worker_of_a_namespace_that_is_not_there_is_seen_by_nobody(storage: Storage) -> None:
    assert await beat(storage.workers("nowhere")) is Orders.RUN
    assert await ids(storage, "nowhere") == []


async def test_many_may_beat_at_once_while_one_is_drained(live_storage: Storage) -> None:
    workers = live_storage.workers(NAMESPACE)
    await beat(workers)
    await asyncio.gather(*(beat(workers) for _ in range(20)), workers.drain("ann"), *(beat(workers) for _ in range(20)))
    assert await beat(workers) is Orders.DRAIN
