"""`Processor.start`: one batch, with all that a worker process promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pydantic
import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus, Lease
from dataqueue.errors import Conflict, Invalid, StorageUnavailable
from dataqueue.handlers import HandlerRegistry
from dataqueue.job_spec import JobSpec
from dataqueue.queue import Queue
from dataqueue.queue_events import JobCompleted
from dataqueue.settings import WorkerSettings
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.processing.a_worker import Meddled
from tests.storage.given import MAX_CRASHES, MINUTE, NAMESPACE, eventually


def queue_on(storage: Any, storage_url: str, clock: ManualClock | None = None, **settings: Any) -> Queue:
    return Queue(
        storage=storage,
        open_another=lambda: open_storage(storage_url, pool_size=2, clock=clock),
        settings=WorkerSettings(url=None, **settings),
    )


class Held:
    """A handler that runs until it is told to go on."""

    def __init__(self) -> None:
        self.running, self.go_on = asyncio.Event(), asyncio.Event()
        self.now = self.most = 0

    async def __call__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.running.set()
        await self.go_on.wait()
        self.now -= 1


async def test_no_more_handlers_run_at_a_time_than_there_are_slots(queue: Queue) -> None:
    await queue.add_jobs(JobSpec("held") for _ in range(7))
    held = Held()
    batch = asyncio.create_task(queue.create_processor({"held": held}, batch_size=5, concurrency=2).start())
    await held.running.wait()
    held.go_on.set()
    assert await batch == 5
    assert held.most == 2
    assert sorted(job.status for job in (await queue.get_jobs()).jobs) == ["completed"] * 5 + ["pending"] * 2


async def test_a_batch_of_many_more_jobs_than_slots_is_taken_as_slots_become_free(queue: Queue) -> None:
    await queue.add_jobs(JobSpec("quick") for _ in range(60))

    async def quick() -> None: ...

    processor = queue.create_processor({"quick": quick}, batch_size=50, concurrency=7)
    assert [await processor.start(), await processor.start()] == [50, 10]


async def test_what_has_become_due_is_part_of_the_batch(storage: Storage, storage_url: str, clock: ManualClock) -> None:
    ran: list[Any] = []
    async with queue_on(storage, storage_url, clock) as queue:
        await queue.add_job("mail", "later", delay=MINUTE)
        processor = queue.create_processor({"mail": ran.append})
        assert await processor.start() == 0
        clock.advance(MINUTE)
        assert await processor.start() == 1
    assert ran == ["later"]


async def test_the_lease_is_renewed_for_as_long_as_the_handler_runs(live_storage: Storage, storage_url: str) -> None:
    held = Held()
    async with queue_on(live_storage, storage_url, lease_seconds=3) as queue:
        job_id = (await queue.add_job("held")).id
        batch = asyncio.create_task(queue.create_processor({"held": held}).start())
        await held.running.wait()
        first = (await queue.get_job(job_id)).lease_expires_at
        assert first is not None

        async def renewed() -> bool | None:
            expires = (await queue.get_job(job_id)).lease_expires_at
            return True if expires is not None and expires > first + timedelta(seconds=2) else None

        await eventually("the lease is renewed", renewed)
        held.go_on.set()
        assert await batch == 1
        assert (await queue.get_job(job_id)).crashes == 0


async def test_a_job_that_was_taken_away_is_neither_changed_nor_told(live_storage: Storage, storage_url: str) -> None:
    held, told = Held(), []
    async with queue_on(live_storage, storage_url) as queue:

        async def hear(event: JobCompleted) -> None:
            told.append(event.job_id)

        queue.on("job:completed", hear)
        lost, kept = (await queue.add_job("held")).id, (await queue.add_job("quick")).id
        batch = asyncio.create_task(queue.create_processor({"held": held, "quick": lambda: None}).start())
        await held.running.wait()
        await take_away(live_storage, queue, lost)
        held.go_on.set()
        assert await batch == 2
        assert (await queue.get_job(lost)).status is JobStatus.PENDING
    assert told == [kept]


async def take_away(storage: Storage, queue: Queue, job_id: UUID) -> None:
    """As when its lease has run out, and somebody has looked."""

    async def reclaimed() -> bool | None:
        # Again each time: its holder may have renewed it in between.
        await storage.jobs(NAMESPACE).abandon([Lease(job_id, 1)])
        return True if await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) else None

    await eventually("it is taken back", reclaimed)
    assert (await queue.get_job(job_id)).crashes == 1


async def test_what_a_claim_took_whose_reply_was_lost_is_given_back_and_the_error_raised(
    live_storage: Storage, storage_url: str
) -> None:
    async def lose_the_reply() -> None:
        storage.after.clear()
        raise StorageUnavailable("the reply is lost", outcome_unknown=True)

    storage = Meddled(live_storage, after={"claim": lose_the_reply})
    async with queue_on(storage, storage_url) as queue:
        job_id = (await queue.add_job("mail")).id
        processor = queue.create_processor({"mail": lambda: None})
        with pytest.raises(StorageUnavailable, match="the reply is lost"):
            await processor.start()
        job = await queue.get_job(job_id)
        assert (job.status, job.attempts, job.crashes) == (JobStatus.PENDING, 0, 0)
        assert await processor.start() == 1


async def test_an_outcome_whose_reply_was_lost_is_told_once(live_storage: Storage, storage_url: str) -> None:
    told: list[UUID] = []

    async def lose_the_reply() -> None:
        storage.after.clear()
        raise StorageUnavailable("the reply is lost", outcome_unknown=True)

    async def hear(event: JobCompleted) -> None:
        told.append(event.job_id)

    storage = Meddled(live_storage, after={"complete": lose_the_reply})
    async with queue_on(storage, storage_url) as queue:
        queue.on("job:completed", hear)
        job_id = (await queue.add_job("mail")).id
        assert await queue.create_processor({"mail": lambda: None}).start() == 1
    assert told == [job_id]
    assert storage.calls["complete"] == 2


async def test_stopping_a_batch_gives_back_what_runs(queue: Queue) -> None:
    held = Held()
    job_id = (await queue.add_job("held")).id
    processor = queue.create_processor({"held": held})
    batch = asyncio.create_task(processor.start())
    await held.running.wait()
    assert processor.is_running
    await processor.stop()
    assert await batch == 1
    assert (await queue.get_job(job_id)).status is JobStatus.PENDING


async def test_cancelling_a_batch_gives_back_what_runs(queue: Queue) -> None:
    held = Held()
    job_id = (await queue.add_job("held")).id
    processor = queue.create_processor({"held": held})
    batch = asyncio.create_task(processor.start())
    await held.running.wait()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert not processor.is_running
    assert (await queue.get_job(job_id)).status is JobStatus.PENDING


async def test_a_processor_does_one_thing_at_a_time(queue: Queue) -> None:
    held = Held()
    await queue.add_job("held")
    processor = queue.create_processor({"held": held})
    batch = asyncio.create_task(processor.start())
    await held.running.wait()
    with pytest.raises(Conflict):
        await processor.start()
    held.go_on.set()
    assert await batch == 1
    processor.start_in_background()
    with pytest.raises(Conflict):
        await processor.start()
    await processor.stop()


async def test_each_batch_begins_and_ends_with_the_hooks(queue: Queue) -> None:
    said: list[str] = []
    registry = HandlerRegistry()
    registry.handler("mail")(lambda: said.append("run"))
    registry.on_startup(lambda: said.append("up"))
    registry.on_shutdown(lambda: said.append("down"))
    await queue.add_jobs([JobSpec("mail"), JobSpec("mail")])
    processor = queue.create_processor(registry, batch_size=1)
    assert [await processor.start(), await processor.start()] == [1, 1]
    assert said == ["up", "run", "down"] * 2


async def test_a_payload_is_read_as_the_handler_says_also_by_names_of_the_place(queue: Queue) -> None:
    class Mail(pydantic.BaseModel):
        to: str

    sent: list[Mail] = []

    def send(mail: Mail) -> None:
        sent.append(mail)

    await queue.add_jobs([JobSpec("mail", Mail(to="ada")), JobSpec("mail", {"to": 7})])
    assert await queue.create_processor({"mail": send}).start() == 2
    assert sent == [Mail(to="ada")]
    failed, sent_off = (await queue.get_jobs()).jobs
    assert (failed.status, failed.failure_reason, sent_off.status) == ("failed", "invalid_payload", "completed")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1001}, "batch_size"),
        ({"concurrency": 0}, "concurrency"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": "often"}, "poll_interval"),
        ({"job_types": ["mail", "fax"]}, "job_types"),
    ],
)
async def test_options_that_make_no_sense_are_refused(queue: Queue, options: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        queue.create_processor({"mail": lambda: None}, **options)
    assert refusal.value.loc == (field,)


async def test_a_processor_needs_a_second_way_to_a_storage_that_was_handed_in(live_storage: Storage) -> None:
    async with Queue(storage=live_storage) as queue:
        with pytest.raises(Invalid, match="storage of its own"):
            queue.create_processor({"mail": lambda: None})
