"""When the claimer looks, and what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Lease
from dataqueue.errors import StorageUnavailable
from dataqueue.processing import backoff
from dataqueue.processing.claimer import Claimer
from dataqueue.processing.leases import Held, LeaseTable
from dataqueue.storage.port import JobStore
from tests.processing.a_worker import LONG
from tests.unit.claimed import a_claimed_job
from tests.workers.processes import until


class FakeJobStore:
    """Has one answer for each claim, then none; what it took without saying so can be recalled."""

    def __init__(self) -> None:
        self.answers: list[list[ClaimedJob] | Exception] = []
        self.claims: list[int] = []
        self.recalls: list[list[Lease]] = []
        self.unheard = 0

    async def claim(self, job_types: Sequence[str], *, limit: int, **_: Any) -> list[ClaimedJob]:
        self.claims.append(limit)
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def recall(self, worker_id: str, *, known: Sequence[Lease]) -> int:
        self.recalls.append(list(known))
        found, self.unheard = self.unheard, 0
        return found


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> FakeJobStore:
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    return FakeJobStore()


@asynccontextmanager
async def claiming(
    jobs: FakeJobStore, *, poll: float, room: Callable[[], int] = lambda: 10, lease: float = 30, concurrency: int = 10
) -> AsyncIterator[tuple[Claimer, list[Held]]]:
    """A claimer at work, and what it started."""
    started: list[Held] = []
    claimer = Claimer(
        jobs=cast(JobStore, jobs),
        table=LeaseTable(lease=lease),
        job_types=["mail"],
        worker_id="ann",
        concurrency=concurrency,
        poll=poll,
        room=room,
        start=started.extend,
    )
    running = asyncio.create_task(claimer.run())
    try:
        yield claimer, started
    finally:
        claimer.stop()
        await asyncio.wait_for(running, 5)


async def test_a_claimer_without_room_looks_for_some_although_nobody_tells_it(jobs: FakeJobStore) -> None:
    """Room depends on more than slots, and a worker must not stand still for ever for one word that was not said."""
    rooms = [0, 0, 0]
    async with claiming(jobs, poll=0.01, room=lambda: rooms.pop() if rooms else 10):
        await until(lambda: jobs.claims, "it claims", within=5)
    assert jobs.claims[0] == 10


async def test_a_hint_makes_it_look_several_times_again(jobs: FakeJobStore) -> None:
    """Where one sender tells, more come that nobody tells yet."""
    async with claiming(jobs, poll=LONG) as (claimer, _):
        await until(lambda: len(jobs.claims) == 4, "it has looked as often as it does by itself", within=5)
        claimer.hint()
        await until(lambda: len(jobs.claims) == 8, "it looks as often again", within=5)


async def test_after_a_lost_claim_it_recalls_again_and_again_for_a_lease_and_then_no_more(jobs: FakeJobStore) -> None:
    """The statement may commit after the first recall: its server may be slow, and its connection cut before."""
    jobs.answers = [StorageUnavailable("cut", outcome_unknown=True), [known := a_claimed_job()]]
    async with claiming(jobs, poll=0.05, lease=1.3) as (_, started):
        await until(lambda: len(jobs.recalls) == 1, "it recalls")
        jobs.unheard = 5
        await until(lambda: jobs.unheard == 0, "what was committed late is recalled too")
        recalls, claims = len(jobs.recalls), len(jobs.claims)
        await until(lambda: len(jobs.claims) >= claims + 40, "more than a lease has passed")
        assert len(jobs.recalls) <= recalls + 1
    assert jobs.recalls[0] == []
    assert [held.job for held in started] == [known]
    assert jobs.recalls[1:] == [[known.lease]] * (len(jobs.recalls) - 1)


async def test_without_a_lost_claim_nothing_is_recalled(jobs: FakeJobStore) -> None:
    async with claiming(jobs, poll=0.001):
        await until(lambda: len(jobs.claims) >= 20, "it looks")
    assert jobs.recalls == []


@pytest.mark.parametrize(("concurrency", "at_a_time"), [(500, 250), (200, 100), (150, 100), (100, 100), (50, 50)])
async def test_a_claim_takes_half_of_many_slots_so_that_the_next_is_under_way_while_those_are_started(
    jobs: FakeJobStore, concurrency: int, at_a_time: int
) -> None:
    jobs.answers = [[a_claimed_job() for _ in range(at_a_time)]]
    async with claiming(jobs, poll=LONG, concurrency=concurrency, room=lambda: concurrency) as (_, started):
        await until(lambda: len(jobs.claims) > 1, "it claims again at once", within=5)
    assert jobs.claims[:2] == [at_a_time] * 2
    assert len(started) == at_a_time
