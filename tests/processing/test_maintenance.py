"""What every worker does again and again, one step at a time, and what keeps doing it through errors."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import cast

import pytest
from structlog.testing import capture_logs

from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus, NewJob
from dataqueue.domain.retention import Retention
from dataqueue.duties import EventLogKeeper, keep_doing
from dataqueue.errors import StorageUnavailable
from dataqueue.ids import new_id
from dataqueue.maintenance import (
    FOLD_OFTEN,
    FOLD_SELDOM,
    LOOK_FOR_DUE,
    LOOK_FOR_ENDED,
    LOOK_FOR_EXPIRED,
    LOOK_FOR_OLD,
    EventPruner,
    Folder,
    Maintenance,
    Pruner,
    Reclaimer,
    WorkerForgetter,
)
from dataqueue.processing.presence import BEAT
from dataqueue.settings import WorkerSettings
from dataqueue.staging import Stager
from dataqueue.storage.answers import Staged
from dataqueue.storage.port import Storage, Upkeep
from tests.hearing import listening, next_of

SECOND = timedelta(seconds=1)


class Announcements:
    """Counts what was announced."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


async def given_jobs(storage: Storage, *, count: int = 1, delay: timedelta | None = None) -> list[NewJob]:
    jobs = [NewJob(id=new_id(), job_type="mail", delay=delay) for _ in range(count)]
    await storage.jobs("default").enqueue([jobs])
    return jobs


async def claimable(storage: Storage) -> int:
    claimed = await storage.jobs("default").claim(["mail"], limit=100, worker_id="w", lease=30 * SECOND)
    return len(claimed)


async def test_a_due_job_is_staged_and_announced(storage: Storage, clock: ManualClock) -> None:
    announced = Announcements()
    stager = Stager(storage.upkeep, announce=announced, longest_sleep=LOOK_FOR_DUE)
    await given_jobs(storage, delay=10 * SECOND)
    await stager.tick()
    assert (await claimable(storage), announced.count) == (0, 0)
    clock.advance(11 * SECOND)
    await stager.tick()
    assert (await claimable(storage), announced.count) == (1, 1)


async def test_the_stager_sleeps_until_the_next_job_is_due(storage: Storage, clock: ManualClock) -> None:
    stager = Stager(storage.upkeep, announce=Announcements(), longest_sleep=LOOK_FOR_DUE)
    assert await stager.tick() == LOOK_FOR_DUE
    await given_jobs(storage, delay=timedelta(seconds=1.5))
    assert await stager.tick() == pytest.approx(1.5, abs=0.01)
    await given_jobs(storage, delay=0.0001 * SECOND)
    assert 0 < await stager.tick() <= 0.05


async def test_the_stager_goes_on_at_once_while_its_batches_are_full(storage: Storage, clock: ManualClock) -> None:
    stager = Stager(storage.upkeep, announce=Announcements(), longest_sleep=LOOK_FOR_DUE, batch=2)
    await given_jobs(storage, count=3, delay=SECOND)
    clock.advance(2 * SECOND)
    assert await stager.tick() == 0
    assert await stager.tick() > 0
    assert await claimable(storage) == 3


async def test_the_job_of_a_silent_worker_is_taken_back_and_announced(storage: Storage, clock: ManualClock) -> None:
    announced = Announcements()
    reclaimer = Reclaimer(upkeep=storage.upkeep, announce=announced, max_crashes=3)
    (job,) = await given_jobs(storage)
    assert await claimable(storage) == 1
    await reclaimer.tick()
    assert announced.count == 0
    clock.advance(31 * SECOND)
    await reclaimer.tick()
    read = await storage.jobs("default").get(job.id)
    assert (read.status, read.crashes, announced.count) == (JobStatus.PENDING, 1, 1)


async def test_a_job_that_crashes_too_often_fails(storage: Storage, clock: ManualClock) -> None:
    reclaimer = Reclaimer(upkeep=storage.upkeep, announce=Announcements(), max_crashes=0)
    (job,) = await given_jobs(storage)
    await claimable(storage)
    clock.advance(31 * SECOND)
    await reclaimer.tick()
    read = await storage.jobs("default").get(job.id)
    assert (read.status, read.failure_reason) == (JobStatus.FAILED, "crashed")


async def test_the_reclaimer_looks_every_second_or_so_and_at_once_while_its_batches_are_full(
    storage: Storage, clock: ManualClock
) -> None:
    reclaimer = Reclaimer(
        upkeep=storage.upkeep, announce=Announcements(), max_crashes=3, batch=2, monotonic=lambda: 0.0
    )
    assert LOOK_FOR_EXPIRED * 0.8 <= await reclaimer.tick() <= LOOK_FOR_EXPIRED * 1.2
    await given_jobs(storage, count=3)
    await claimable(storage)
    clock.advance(31 * SECOND)
    assert await reclaimer.tick() == 0
    assert await reclaimer.tick() > 0


async def test_the_reclaimer_rests_twenty_times_as_long_as_a_slow_look_took(storage: Storage) -> None:
    seconds = itertools.count()
    reclaimer = Reclaimer(
        upkeep=storage.upkeep, announce=Announcements(), max_crashes=3, monotonic=lambda: float(next(seconds))
    )
    assert 20 * 0.8 <= await reclaimer.tick() <= 20 * 1.2


class Unfolded:
    """Changes that nobody has folded yet."""

    def __init__(self) -> None:
        self.count = 0

    async def fold_counts(self, *, limit: int) -> int:
        folded, self.count = min(self.count, limit), max(self.count - limit, 0)
        return folded


async def test_counts_are_folded_often_while_there_is_something_and_ever_more_seldom_when_not() -> None:
    unfolded = Unfolded()
    folder = Folder(upkeep=cast(Upkeep, unfolded), monotonic=lambda: 0.0)
    unfolded.count = 3
    assert FOLD_OFTEN * 0.8 <= await folder.tick() <= FOLD_OFTEN * 1.2
    idle = [await folder.tick() for _ in range(5)]
    assert FOLD_OFTEN * 1.2 < idle[0] < idle[1] < idle[2]
    assert all(FOLD_SELDOM * 0.8 <= pause <= FOLD_SELDOM * 1.2 for pause in idle[3:])
    unfolded.count = 3
    assert await folder.tick() <= FOLD_OFTEN * 1.2


async def test_folding_goes_on_at_once_while_its_batches_are_full() -> None:
    unfolded = Unfolded()
    folder = Folder(upkeep=cast(Upkeep, unfolded), batch=1, monotonic=lambda: 0.0)
    unfolded.count = 2
    assert [await folder.tick(), await folder.tick()] == [0, 0]
    assert await folder.tick() > 0


async def test_upkeep_that_has_more_to_do_rests_between_two_batches(storage: Storage, clock: ManualClock) -> None:
    seconds = itertools.count()
    retention = Retention(cancelled=SECOND)
    pruner = Pruner(upkeep=storage.upkeep, retention=retention, batch=2, monotonic=lambda: float(next(seconds)))
    unfolded = Unfolded()
    folder = Folder(upkeep=cast(Upkeep, unfolded), batch=1, monotonic=lambda: float(next(seconds)))
    unfolded.count = 2
    jobs = await given_jobs(storage, count=3)
    await storage.jobs("default").cancel([job.id for job in jobs])
    clock.advance(2 * SECOND)
    assert await folder.tick() == 3
    assert await pruner.tick() == 3
    assert await pruner.tick() >= LOOK_FOR_ENDED * 0.8
    assert (await storage.tally("default").stats()).by_type == {}


async def test_jobs_are_kept_for_as_long_as_the_settings_say(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAQUEUE_KEEP_CANCELLED", "1d")
    pruner = Pruner(upkeep=storage.upkeep, retention=WorkerSettings().retention)
    jobs = await given_jobs(storage)
    await storage.jobs("default").cancel([job.id for job in jobs])
    clock.advance(timedelta(days=1))
    await pruner.tick()
    assert (await storage.jobs("default").get(jobs[0].id)).status is JobStatus.CANCELLED
    clock.advance(SECOND)
    await pruner.tick()
    assert (await storage.tally("default").stats()).by_type == {}


async def test_old_events_and_workers_long_gone_are_looked_for_every_hour_or_so(
    storage: Storage, clock: ManualClock
) -> None:
    await given_jobs(storage)
    await storage.workers("default").beat("ann", kind="python", job_types=[])
    for duty in (EventPruner(upkeep=storage.upkeep, keep=timedelta(days=2)), WorkerForgetter(upkeep=storage.upkeep)):
        assert LOOK_FOR_OLD * 0.8 <= await duty.tick() <= LOOK_FOR_OLD * 1.2
    assert await storage.upkeep.forget_workers(silent_for=timedelta(0)) == 0
    clock.advance(timedelta(days=3))
    await EventPruner(upkeep=storage.upkeep, keep=timedelta(days=2)).tick()
    await WorkerForgetter(upkeep=storage.upkeep).tick()
    assert await storage.upkeep.prune_events(keep=timedelta(days=2)) == 0
    assert await storage.upkeep.forget_workers(silent_for=timedelta(0)) == 0


async def test_room_for_events_is_made(storage: Storage) -> None:
    assert await EventLogKeeper(upkeep=storage.upkeep).tick() > 1800


def test_an_idle_worker_sends_at_most_two_statements_a_second() -> None:
    pauses = (LOOK_FOR_DUE, LOOK_FOR_EXPIRED, WorkerSettings().poll_seconds, BEAT, FOLD_SELDOM, LOOK_FOR_ENDED)
    listening, seldom = 0.07, 3 / LOOK_FOR_OLD
    assert sum(1 / pause for pause in pauses) + listening + seldom <= 2


class Duty:
    """Does what a test lists: raises an error, or answers; then stops the loop."""

    def __init__(self, *acts: Exception | None, stop: asyncio.Event) -> None:
        self._acts, self._stop = list(acts), stop

    async def tick(self) -> float:
        act = self._acts.pop(0)
        if not self._acts:
            self._stop.set()
        if act is not None:
            raise act
        return 0


async def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    stop = asyncio.Event()
    gone = StorageUnavailable("gone")
    with capture_logs() as logs:
        await keep_doing(Duty(None, gone, gone, None, None, gone, None, stop=stop), stop)
    assert [log["event"] for log in logs] == ["maintenance.failing", "maintenance.recovered"] * 2
    assert logs[1]["failures"] == 2
    assert not logs[0]["exc_info"]


async def test_what_nobody_foresaw_is_told_with_its_traceback_and_ends_nothing() -> None:
    stop = asyncio.Event()
    with capture_logs() as logs:
        await keep_doing(Duty(ZeroDivisionError("?"), None, stop=stop), stop)
    assert logs[0]["exc_info"]


async def test_all_duties_are_done_until_told_to_stop(live_storage: Storage) -> None:
    (job,) = await given_jobs(live_storage, delay=0.05 * SECOND)
    stop = asyncio.Event()
    async with live_storage.notifier.listen() as hints:
        await listening(hints)
        maintenance = asyncio.create_task(Maintenance(live_storage, WorkerSettings()).run(stop))
        hint = await next_of(hints)
        assert (hint.kind, hint.namespace) == ("ready", "default")
        stop.set()
        await maintenance
    claimed = await live_storage.jobs("default").claim(["mail"], limit=1, worker_id="w", lease=30 * SECOND)
    assert [one.id for one in claimed] == [job.id]


async def test_any_number_of_workers_may_do_the_same(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await given_jobs(storage, count=20, delay=SECOND)
    clock.advance(2 * SECOND)
    stage, counts = storage.upkeep.stage, list[int]()

    async def counted(*, limit: int) -> Staged:
        staged = await stage(limit=limit)
        counts.append(staged.count)
        return staged

    monkeypatch.setattr(storage.upkeep, "stage", counted)
    stagers = [Stager(storage.upkeep, announce=Announcements(), longest_sleep=LOOK_FOR_DUE, batch=7) for _ in range(8)]
    await asyncio.gather(*(stager.tick() for stager in stagers))
    while counts[-1]:
        await stagers[0].tick()
    assert sum(counts) == 20
    assert await claimable(storage) == 20
