"""A durable handler whose worker is killed between any two storage calls ends in the same output."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from dataqueue.domain.job import Job, JobStatus, Json, Lease, NewJob
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.acceptance.dying_worker import onboarding
from tests.processing.a_worker import a_worker
from tests.storage.given import NAMESPACE, eventually

MOST_INVOCATIONS: Final = 20
FEWEST_POINTS: Final = 20
EXPECTED: Final = {"account": "account", "approved": {"by": "ann"}, "sent": "welcome"}


class Killer:
    """Runs workers that die where they are told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, job_type: str, point: int) -> int:
        """The exit status of a worker."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{job_type} {point}\n".encode())
        return int(await self._process.stdout.readline())


@pytest.fixture
async def killer(storage_url: str, tmp_path: Path) -> AsyncIterator[Killer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.acceptance.dying_worker", storage_url, str(tmp_path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Killer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def approve(storage: Storage, job_id: UUID) -> None:
    """Complete the token that the job waits for, whenever it does."""
    while True:
        if (token_id := (await storage.jobs(NAMESPACE).get(job_id)).wait_token_id) is not None:
            await storage.tokens(NAMESPACE).complete(token_id, output=Json('{"by":"ann"}'))
        await asyncio.sleep(0.02)


async def ended(storage: Storage, job_id: UUID) -> Job:
    async def look() -> Job | None:
        await storage.upkeep.stage(limit=10)
        job = await storage.jobs(NAMESPACE).get(job_id)
        return job if job.status.is_terminal else None

    return await eventually("the job has ended", look, seconds=20)


async def test_killed_between_any_two_storage_calls_it_ends_in_the_same_output(
    live_storage: Storage, storage_url: str, killer: Killer, tmp_path: Path
) -> None:
    storage, jobs = live_storage, live_storage.jobs(NAMESPACE)
    # The first claim has no point before it: nothing is on behalf of the job yet.
    point = 2
    while True:
        job_type = f"onboard-{point}"
        job = NewJob(id=new_id(), job_type=job_type)
        await jobs.enqueue([[job]])
        approving = asyncio.create_task(approve(storage, job.id))
        was_killed = await killer.run(job_type, point) != 0
        if was_killed:
            await jobs.abandon([Lease(job.id, invocation) for invocation in range(1, MOST_INVOCATIONS)])
            await storage.upkeep.reclaim(limit=10, max_crashes=MOST_INVOCATIONS)
            async with a_worker(storage, onboarding(tmp_path, job_type), open_storage=_another(storage_url)):
                await ended(storage, job.id)
        approving.cancel()
        found = await jobs.get(job.id)
        assert (found.status, json.loads(found.output or "null")) == (JobStatus.COMPLETED, EXPECTED), point
        assert (found.attempts, found.progress) == (1, 25), point
        done = (tmp_path / job_type).read_text().split()
        # Done at least once; what a kill may repeat is the one step that was under way.
        assert set(done) == {"account", "welcome"}
        assert len(done) <= (3 if was_killed else 2), point
        if not was_killed:
            break
        point += 1
    assert point > FEWEST_POINTS


def _another(url: str) -> Callable[[], Storage]:
    return lambda: open_storage(url, pool_size=2)
