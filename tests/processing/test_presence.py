"""A worker is seen while it is there, and takes no more jobs when it is told to drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from dataqueue import HandlerRegistry, JobStatus
from dataqueue.clock import ManualClock
from dataqueue.domain.workers import Orders
from dataqueue.errors import StorageUnavailable
from dataqueue.processing import presence as module
from dataqueue.processing.presence import BEAT, Presence
from dataqueue.processing.worker import Worker
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import LIVE_FOR, Hint, Storage, WorkerRegistry
from tests.processing.a_worker import LONG, Stoppable, a_worker, completed, ended, enqueue
from tests.storage.given import NAMESPACE, eventually
from tests.workers.processes import until

Open = Callable[[], Storage]
WITHIN = 10.0


class Drains:
    """Counts how often a worker was told."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def a_presence(workers: WorkerRegistry, drains: Drains | None = None) -> Presence:
    return Presence(workers=workers, worker_id="ann", job_types=["mail"], drain=drains or Drains())


async def states(storage: Storage) -> list[tuple[str, Orders]]:
    return [(worker.id, worker.state) for worker in await storage.workers(NAMESPACE).live()]


async def drained(storage: Storage, worker: Stoppable) -> None:
    """Drain the worker as the API does, and wait until it has heard; a hint that it did not hear is sent again."""
    await storage.workers(NAMESPACE).drain("ann")

    async def look() -> bool | None:
        await storage.notifier.publish(Hint("drain", NAMESPACE, ("ann",)))
        return True if worker.worker.claimer.stopped else None

    await eventually("it drains", look, seconds=BEAT / 2)


async def seen(storage: Storage) -> None:
    async def look() -> bool | None:
        return True if await states(storage) else None

    await eventually("the worker is seen", look)


async def test_a_worker_is_told_to_drain_once(storage: Storage) -> None:
    workers, drains = storage.workers(NAMESPACE), Drains()
    presence = a_presence(workers, drains)
    await presence.tick()
    assert drains.count == 0
    await workers.drain("ann")
    await presence.tick()
    await presence.tick()
    assert drains.count == 1


async def test_a_draining_worker_that_was_taken_for_gone_is_seen_to_drain_again(
    storage: Storage, clock: ManualClock
) -> None:
    workers, drains = storage.workers(NAMESPACE), Drains()
    presence = a_presence(workers, drains)
    await presence.tick()
    await workers.drain("ann")
    await presence.tick()
    clock.advance(LIVE_FOR)
    await presence.tick()
    assert await states(storage) == [("ann", Orders.DRAIN)]
    assert drains.count == 1


class Failing:
    """A registry that cannot be reached for a while."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.beats, self.later = list(failures), 0, asyncio.Event()

    async def beat(self, worker_id: str, **_: object) -> Orders:
        if self.failures:
            raise self.failures.pop(0)
        self.beats += 1
        self.later.set()
        return Orders.RUN


async def test_an_outage_is_told_once_and_the_beat_goes_on_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.01)
    gone = StorageUnavailable("gone")
    workers = Failing(gone, gone, ZeroDivisionError())
    with capture_logs() as logs:
        running = asyncio.create_task(a_presence(workers).run())  # type: ignore[arg-type]
        await asyncio.wait_for(workers.later.wait(), WITHIN)
        await until(lambda: len(logs) > 1, "it recovers")
        running.cancel()
    assert [(log["event"], log.get("failures")) for log in logs] == [
        ("presence.failing", None),
        ("presence.recovered", 3),
    ]


async def test_a_worker_is_seen_from_its_start_to_its_orderly_stop(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    async with a_worker(live_storage, registry, open_storage=open_another) as running:
        await seen(live_storage)
        [worker] = await live_storage.workers(NAMESPACE).live()
        assert (worker.id, worker.kind, worker.job_types, worker.state) == ("ann", "python", ("mail",), Orders.RUN)
        running.stop.set()
        await asyncio.wait_for(running.running, WITHIN)
        assert await states(live_storage) == []


async def test_one_batch_is_not_worth_signing_on(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    while_at_work: list[object] = []

    @registry.handler("mail")
    async def send() -> None:
        while_at_work.append(await states(live_storage))

    await enqueue(live_storage, "mail")
    worker = Worker(WorkerSettings(concurrency=1), live_storage, registry, worker_id="ann", open_storage=open_another)
    assert await worker.run_batch(10, asyncio.Event(), asyncio.Event()) == 1
    assert while_at_work == [[]]


async def test_a_drained_worker_finishes_what_it_holds_claims_nothing_and_stays(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    @registry.handler("mail")
    async def send() -> str:
        started.set()
        await finish.wait()
        return "done"

    [held] = await enqueue(live_storage, "mail")
    with capture_logs() as logs:
        async with a_worker(live_storage, registry, open_storage=open_another, poll_seconds=0.01) as running:
            await asyncio.wait_for(started.wait(), WITHIN)
            await seen(live_storage)
            await drained(live_storage, running)
            late = await enqueue(live_storage, "mail", 3)
            await live_storage.notifier.publish(Hint("ready", NAMESPACE, ("mail",)))
            finish.set()
            job = await ended(live_storage, held)
            assert (job.status, job.attempts, job.output) == (JobStatus.COMPLETED, 1, '"done"')
            # Another look, and another drain, change nothing.
            await drained(live_storage, running)
            done, _ = await asyncio.wait({running.running}, timeout=0.2)
            assert not done
            [worker] = await live_storage.workers(NAMESPACE).live()
            assert (worker.state, worker.jobs_held) == (Orders.DRAIN, 0)
            for job_id in late:
                assert (await live_storage.jobs(NAMESPACE).get(job_id)).attempts == 0
            running.stop.set()
            await asyncio.wait_for(running.running, WITHIN)
    assert [log["event"] for log in logs if log["event"].startswith("worker.")] == [
        "worker.started",
        "worker.draining",
        "worker.stopping",
        "worker.stopped",
    ]
    assert await states(live_storage) == []


async def test_another_worker_takes_what_a_drained_one_leaves(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    async with a_worker(live_storage, registry, open_storage=open_another) as running:
        await seen(live_storage)
        await drained(live_storage, running)
        job_ids = await enqueue(live_storage, "mail", 5)
        # Restarted, it has another id, and is not drained.
        async with a_worker(live_storage, registry, open_storage=open_another, worker_id="bob"):
            await completed(live_storage, job_ids)


@pytest.mark.parametrize("by", ["stop", "hurry"])
async def test_a_drained_worker_that_holds_a_job_stops_as_any_other(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open, by: str
) -> None:
    started = asyncio.Event()

    @registry.handler("mail")
    async def send() -> None:
        started.set()
        await asyncio.sleep(LONG)

    [held] = await enqueue(live_storage, "mail")
    async with a_worker(live_storage, registry, open_storage=open_another, drain_seconds=0.05) as running:
        await asyncio.wait_for(started.wait(), WITHIN)
        await seen(live_storage)
        await drained(live_storage, running)
        getattr(running, by).set()
        await asyncio.wait_for(running.running, WITHIN)
    job = await live_storage.jobs(NAMESPACE).get(held)
    assert (job.status, job.attempts) == (JobStatus.PENDING, 0)
