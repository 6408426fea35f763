"""The upkeep of a namespace inside a program."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.listeners import Listeners
from dataqueue.processors import error_teller
from dataqueue.queue import Queue
from dataqueue.queue_events import ErrorEvent
from dataqueue.storage.backend import Backend
from dataqueue.storage.opening import open_storage
from dataqueue.supervising import QueueSupervisor
from tests.storage.given import FOLDS, SECOND, eventually, given_job


def nobody(error: BaseException, source: str) -> None:
    raise AssertionError(f"{source}: {error}")


async def _when(condition: bool) -> bool | None:
    return True if condition else None


async def test_a_round_does_every_task_and_counts(storage_url: str, backend: Backend, clock: ManualClock) -> None:
    storage = open_storage(storage_url, clock=clock)
    queue = Queue(storage=storage)
    await given_job(storage, status=JobStatus.COMPLETED)
    clock.advance(timedelta(days=2))
    await given_job(storage, status=JobStatus.PROCESSING)
    await given_job(storage, delay=SECOND)
    clock.advance(31 * SECOND)
    counts = await queue.create_supervisor(cleanup_jobs_after=1).start()
    assert {name: count for name, count in counts.items() if name != "folded_counts"} == {
        "staged_jobs": 1,
        "reclaimed_jobs": 1,
        "expired_tokens": 0,
        "cleaned_up_jobs": 1,
        "cleaned_up_tokens": 0,
        "cleaned_up_events": 0,
        "forgotten_workers": 0,
    }
    assert (counts["folded_counts"] > 0) is FOLDS[backend]
    only = await queue.create_supervisor(
        reclaim_stuck_jobs=False,
        expire_timed_out_tokens=False,
        cleanup_jobs_after=None,
        cleanup_tokens_after=None,
        cleanup_events_after=None,
    ).start()
    assert set(only) == {"staged_jobs", "folded_counts", "forgotten_workers"}
    await queue.close()
    await storage.close()


async def test_tokens_expire_and_go_when_they_were_kept_long_enough(storage_url: str, clock: ManualClock) -> None:
    storage = open_storage(storage_url, clock=clock)
    queue = Queue(storage=storage)
    first, second = await queue.create_token(timeout=60), await queue.create_token()
    supervisor = queue.create_supervisor(cleanup_tokens_after=1)
    clock.advance(timedelta(hours=1))
    assert (await supervisor.start())["cleaned_up_tokens"] == 0
    assert (await queue.get_token(first.id)).status == "timed_out"
    clock.advance(timedelta(days=2))
    await queue.complete_token(second.id)
    assert (await supervisor.start())["cleaned_up_tokens"] == 1
    assert [token.id for token in (await queue.get_tokens()).tokens] == [second.id]
    await queue.close()
    await storage.close()


async def test_a_task_that_fails_is_told_both_ways_and_stops_no_other() -> None:
    listeners, errors = Listeners(), []
    told: list[Any] = []

    async def hear(event: Any) -> None:
        told.append(event)

    async def broken() -> int:
        raise RuntimeError("no luck")

    async def fine() -> int:
        return 3

    def complain(error: BaseException) -> None:
        errors.append(error)
        raise RuntimeError("and a callback that fails too")

    async def broken_too() -> None:
        raise RuntimeError("nor here")

    listeners.add("error", hear)
    supervisor = QueueSupervisor(
        {"broken": broken, "fine": fine},
        silent={"silent": broken_too},
        interval=60,
        tell_error=error_teller(listeners, complain),
    )
    assert await supervisor.start() == {"broken": 0, "fine": 3}
    await eventually("all is told", lambda: _when(len(told) == 4 and len(errors) == 2))
    assert [str(error) for error in errors] == ["nor here", "no luck"]
    assert all(isinstance(event, ErrorEvent) for event in told)
    assert [event.source for event in told] == ["silent", "broken", *["listener of on_error"] * 2]
    assert [str(event.error) for event in told[2:]] == ["and a callback that fails too"] * 2


async def test_it_goes_on_in_the_background_until_it_is_stopped() -> None:
    rounds = 0

    async def count() -> int:
        nonlocal rounds
        rounds += 1
        return 0

    supervisor = QueueSupervisor({"count": count}, silent={}, interval=0.001, tell_error=nobody)
    supervisor.start_in_background()
    supervisor.start_in_background()
    assert supervisor.is_running
    await eventually("there are three rounds", lambda: _when(rounds >= 3))
    await supervisor.stop_and_drain(5)
    assert not supervisor.is_running


async def test_stopping_cuts_off_a_task_that_takes_its_time() -> None:
    begun = asyncio.Event()

    async def endless() -> int:
        begun.set()
        await asyncio.Event().wait()
        return 0

    supervisor = QueueSupervisor({"endless": endless}, silent={}, interval=60, tell_error=nobody)
    supervisor.start_in_background()
    await begun.wait()
    await supervisor.stop_and_drain(0.01)
    assert not supervisor.is_running
