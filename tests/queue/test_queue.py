"""The queue inside a program: jobs in, out, changed and cleaned away."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.filters import JobFilter, TagMode
from dataqueue.domain.job import JobStatus
from dataqueue.errors import AlreadyExists, IllegalTransition, Invalid, NotFound
from dataqueue.ids import new_id
from dataqueue.job_spec import JobSpec
from dataqueue.queue import Queue
from dataqueue.storage.opening import open_storage
from tests.storage.given import SECOND, given_job, new_job


@dataclass
class Mail:
    to: str


async def test_a_job_is_added_with_all_that_may_be_said_of_it(queue: Queue) -> None:
    own_id = new_id()
    added = await queue.add_job(
        "mail",
        Mail(to="ada"),
        priority=7,
        delay="1h30m",
        max_attempts=5,
        timeout_ms=1500,
        force_kill_on_timeout=True,
        tags=["a", "b", "a"],
        idempotency_key="k",
        retry_delay=timedelta(seconds=10),
        retry_backoff=False,
        retry_delay_max={"minutes": 5},
        dead_letter_job_type="dead",
        id=own_id,
    )
    job = await queue.get_job(added.id)
    assert (added.id, added.created, job.status) == (own_id, True, JobStatus.PENDING)
    assert json.loads(job.payload) == {"to": "ada"}
    assert (job.priority, job.max_attempts, job.timeout_ms, job.tags) == (7, 5, 1500, ("a", "b"))
    assert job.force_kill_on_timeout is True
    assert (await queue.edit_job(job.id, force_kill_on_timeout=None)).force_kill_on_timeout is False
    assert (job.retry_delay, job.retry_backoff, job.retry_delay_max) == (10, False, 300)
    assert (job.idempotency_key, job.dead_letter_job_type) == ("k", "dead")
    assert job.run_at - job.created_at == timedelta(minutes=90)


async def test_a_job_needs_nothing_but_its_type(queue: Queue) -> None:
    job = await queue.get_job((await queue.add_job("mail")).id)
    assert (job.payload, job.priority, job.max_attempts, job.tags) == ("{}", 0, 3, ())


async def test_a_repeated_key_finds_the_first_job(queue: Queue) -> None:
    first = await queue.add_job("mail", idempotency_key="k")
    again = await queue.add_job("mail", idempotency_key="k")
    assert (again.id, again.created) == (first.id, False)


async def test_many_jobs_are_added_in_their_order(queue: Queue) -> None:
    added = await queue.add_jobs(JobSpec("mail", n) for n in range(1001))
    page = await queue.get_jobs(limit=1000)
    assert [job.id for job in page.jobs] == [enqueued.id for enqueued in added[:0:-1]]
    assert page.next is not None
    assert [job.id for job in (await queue.get_jobs(before=page.next)).jobs] == [added[0].id]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"priority": 40_000}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 1.0}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"tags": "abc"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"tags": ["a\0"]}, "tags"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "\ud800"}, "idempotency_key"),
        ({"run_at": datetime(2026, 1, 1)}, "run_at"),  # noqa: DTZ001
        ({"run_at": datetime(9999, 12, 31, tzinfo=UTC)}, "run_at"),
        ({"delay": 0}, "delay"),
        ({"delay": "5 m"}, "delay"),
        ({"delay": 5, "run_at": datetime(2026, 1, 1, tzinfo=UTC)}, "delay"),
        ({"retry_delay": -1}, "retry_delay"),
        ({"retry_backoff": 1}, "retry_backoff"),
        ({"dead_letter_job_type": "a b"}, "dead_letter_job_type"),
        ({"id": "no"}, "id"),
    ],
)
async def test_what_the_wire_refuses_is_refused_here_and_named(
    queue: Queue, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        await queue.add_job("mail", **options)
    assert refusal.value.loc[0] == field
    assert (await queue.get_jobs()).jobs == []


@pytest.mark.parametrize("payload", [float("nan"), "\0", object(), {"a": float("inf")}, "x" * 300_000])
async def test_a_payload_that_cannot_be_kept_is_refused(queue: Queue, payload: Any) -> None:
    with pytest.raises(Invalid) as refusal:
        await queue.add_job("mail", payload)
    assert refusal.value.loc == ("payload",)


async def test_a_bad_job_among_many_is_named_by_its_index_and_none_is_stored(queue: Queue) -> None:
    with pytest.raises(Invalid) as refusal:
        await queue.add_jobs([JobSpec("mail"), JobSpec("no name")])
    assert refusal.value.loc == (1, "job_type")
    assert (await queue.get_jobs()).jobs == []


async def test_jobs_are_found_by_their_tags(queue: Queue) -> None:
    a = (await queue.add_job("mail", tags=["a"])).id
    both = (await queue.add_job("mail", tags=["a", "b"])).id
    none = (await queue.add_job("mail")).id
    found = {mode: [job.id for job in await queue.get_jobs_by_tags(["a", "b"], mode)] for mode in TagMode}
    assert found == {TagMode.EXACT: [both], TagMode.ALL: [both], TagMode.ANY: [both, a], TagMode.NONE: [none]}
    assert [job.id for job in await queue.get_jobs_by_tags(["a"])] == [both, a]


async def test_the_events_of_a_job_are_told(queue: Queue) -> None:
    job_id = (await queue.add_job("mail")).id
    await queue.cancel_job(job_id)
    assert [event.event for event in await queue.get_job_events(job_id)] == ["job:added", "job:cancelled"]
    with pytest.raises(NotFound):
        await queue.get_job_events(new_id())


async def test_a_pending_job_is_edited_and_another_is_not(queue: Queue) -> None:
    job_id = (await queue.add_job("mail", priority=3)).id
    job = await queue.edit_job(job_id, payload=[1], priority=None, tags=["x"], delay=60)
    assert (job.payload, job.priority, job.tags, job.pending_reason) == ("[1]", 0, ("x",), "scheduled")
    with pytest.raises(Invalid):
        await queue.edit_job(job_id, priority="high")  # type: ignore[arg-type]
    await queue.cancel_job(job_id)
    with pytest.raises(IllegalTransition):
        await queue.edit_job(job_id, priority=1)


async def test_bulk_changes_reach_what_matches_and_is_pending(queue: Queue) -> None:
    await queue.add_jobs([JobSpec("mail", tags=["a"]), JobSpec("mail", tags=["b"])])
    changed = await queue.edit_all_pending_jobs(JobFilter(tags=("a",)), priority=9)
    assert (changed.matched, changed.changed) == (1, 1)
    assert [job.priority for job in (await queue.get_jobs()).jobs] == [0, 9]
    cancelled = await queue.cancel_all_upcoming_jobs(JobFilter(tags=("b",)))
    assert (cancelled.matched, cancelled.changed) == (1, 1)
    assert [job.status for job in (await queue.get_jobs()).jobs] == [JobStatus.CANCELLED, JobStatus.PENDING]
    with pytest.raises(Invalid):
        await queue.edit_all_pending_jobs(JobFilter())


async def test_cancelling_what_is_upcoming_leaves_running_jobs_alone(queue: Queue, storage_url: str) -> None:
    storage = open_storage(storage_url)
    running = await given_job(storage, status=JobStatus.PROCESSING)
    assert (await queue.cancel_all_upcoming_jobs()).changed == 0
    assert (await queue.cancel_all_upcoming_jobs(JobFilter(statuses=(JobStatus.PROCESSING,)))).changed == 0
    assert not (await queue.get_job(running.id)).cancel_requested
    await storage.close()


async def test_a_cancelled_job_is_retried_and_a_finished_one_deleted(queue: Queue) -> None:
    job_id = (await queue.add_job("mail", idempotency_key="k")).id
    assert (await queue.cancel_job(job_id)).status is JobStatus.CANCELLED
    assert (await queue.retry_job(job_id)).status is JobStatus.PENDING
    with pytest.raises(IllegalTransition):
        await queue.delete_job(job_id)
    await queue.cancel_job(job_id)
    await queue.delete_job(job_id)
    with pytest.raises(NotFound):
        await queue.get_job(job_id)
    assert (await queue.add_job("mail", idempotency_key="k")).created


async def test_stuck_jobs_are_reclaimed_and_old_ones_cleaned_up(storage_url: str, clock: ManualClock) -> None:
    storage = open_storage(storage_url, clock=clock)
    queue = Queue(storage=storage)
    stuck = await given_job(storage, status=JobStatus.PROCESSING)
    assert await queue.reclaim_stuck_jobs() == 0
    clock.advance(31 * SECOND)
    assert await queue.reclaim_stuck_jobs() == 1
    assert (await queue.get_job(stuck.id)).status is JobStatus.PENDING
    old = await given_job(storage, status=JobStatus.COMPLETED)
    clock.advance(timedelta(days=2))
    recent = await given_job(storage, status=JobStatus.COMPLETED)
    assert await queue.cleanup_old_jobs(3) == 0
    assert await queue.cleanup_old_jobs(timedelta(days=1)) == 1
    assert [job.id for job in (await queue.get_jobs()).jobs] == [recent.id, stuck.id]
    with pytest.raises(NotFound):
        await queue.get_job(old.id)
    assert await queue.cleanup_old_job_events(3650) == 0
    await queue.close()
    await storage.close()


async def test_a_namespace_holds_its_own_jobs(storage_url: str) -> None:
    storage = open_storage(storage_url)
    await storage.jobs("default").enqueue([[new_job()]])
    async with Queue.open(storage_url, namespace="nowhere") as elsewhere:
        assert (await elsewhere.get_jobs()).jobs == []
        with pytest.raises(NotFound, match="no namespace 'nowhere'"):
            await elsewhere.add_job("mail")
    await storage.close()


async def test_any_json_is_a_payload_null_too(queue: Queue) -> None:
    for payload, text in ((None, "null"), (0, "0"), ("", '""'), ([], "[]")):
        assert (await queue.get_job((await queue.add_job("mail", payload)).id)).payload == text


async def test_an_id_may_be_text(queue: Queue) -> None:
    job_id = str((await queue.add_job("mail")).id)
    assert str((await queue.get_job(job_id)).id) == job_id
    await queue.edit_job(job_id, priority=1)
    assert (await queue.cancel_job(job_id)).priority == 1
    await queue.retry_job(job_id)
    assert len(await queue.get_job_events(job_id)) == 4
    await queue.cancel_job(job_id)
    await queue.delete_job(job_id)
    with pytest.raises(Invalid) as refusal:
        await queue.get_job("7")
    assert refusal.value.loc == ("job_id",)


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda queue: queue.get_jobs(limit=0), "limit"),
        (lambda queue: queue.get_jobs(limit=1001), "limit"),
        (lambda queue: queue.get_job_events(new_id(), limit=0), "limit"),
        (lambda queue: queue.get_jobs_by_tags(["a"], "some"), "mode"),
        (lambda queue: queue.get_jobs_by_tags("a"), "values"),
        (lambda queue: queue.cleanup_old_jobs(-1), "retention"),
        (lambda queue: queue.cleanup_old_job_events(timedelta(days=-1)), "days"),
    ],
)
async def test_what_makes_no_sense_is_refused(queue: Queue, ask: Callable[[Queue], Awaitable[Any]], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await ask(queue)
    assert refusal.value.loc == (field,)


async def test_more_jobs_than_a_batch_are_added_in_order(queue: Queue) -> None:
    added = await queue.add_jobs(JobSpec("mail", number) for number in range(2001))
    assert len({enqueued.id for enqueued in added}) == 2001
    for index in (0, 999, 1000, 2000):
        assert (await queue.get_job(added[index].id)).payload == str(index)


async def test_an_id_that_is_taken_is_named_by_its_place_among_all_of_them(queue: Queue) -> None:
    taken = (await queue.add_job("mail")).id
    jobs = [JobSpec("mail", id=taken if number == 1101 else None) for number in range(1200)]
    with pytest.raises(AlreadyExists) as refusal:
        await queue.add_jobs(jobs)
    assert refusal.value.index == 1101


async def test_pages_follow_each_other_to_the_end(queue: Queue) -> None:
    added = await queue.add_jobs(JobSpec("mail") for _ in range(5))
    found, before = [], None
    while True:
        page = await queue.get_jobs(before=before, limit=2)
        found += [job.id for job in page.jobs]
        before = page.next
        if before is None:
            break
    assert found == [enqueued.id for enqueued in reversed(added)]
