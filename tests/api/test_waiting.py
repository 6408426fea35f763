"""GET /v1/jobs/{id}?wait=: held until the job ends, the time is up, the caller leaves or the process stops."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast
from uuid import UUID

import httpx
import pytest

from app.main import Api
from app.watching import Watcher
from dataqueue.domain.job import JobStatus
from dataqueue.errors import StorageUnavailable
from dataqueue.ids import new_id
from dataqueue.storage.port import Hint, Storage
from tests.api.support import NOBODYS_ID, enqueued, eventually, places, problem, scope_of, shared
from tests.storage.given import given_claimed_job, given_job

SOON: Final = 5.0
"""Far less than any wait asked for here, and enough for a slow machine."""


class Recording:
    """As much of a storage as a watcher asks for; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[frozenset[UUID]] = []
        self.over: set[UUID] = set()
        self.fails = False

    def jobs(self, namespace: str) -> Recording:
        return self

    async def ended(self, job_ids: Sequence[UUID]) -> set[UUID]:
        self.asked.append(frozenset(job_ids))
        if self.fails:
            raise StorageUnavailable("gone")
        return self.over & set(job_ids)


def watching(recording: Recording) -> Watcher:
    return Watcher(cast(Storage, recording))


async def test_a_wait_ends_when_the_job_does(client: httpx.AsyncClient, storage: Storage) -> None:
    claimed = await given_claimed_job(storage)
    waiting = asyncio.create_task(client.get(f"/v1/jobs/{claimed.id}?wait=60"))
    await eventually("somebody waits", lambda: _watched(client) == 1)
    await storage.jobs("default").complete([claimed.lease], outputs=[None])
    async with asyncio.timeout(SOON):
        response = await waiting
    assert (response.status_code, response.json()["status"]) == (200, "completed")
    assert _watched(client) == 0


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
async def test_a_job_that_has_ended_is_not_waited_for(
    client: httpx.AsyncClient, storage: Storage, status: JobStatus
) -> None:
    job = await given_job(storage, status=status)
    async with asyncio.timeout(SOON):
        assert (await client.get(f"/v1/jobs/{job.id}?wait=60s")).json()["status"] == status


async def test_a_cancel_here_ends_a_wait_here(client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client)
    waiting = asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=1m"))
    await eventually("somebody waits", lambda: _watched(client) == 1)
    await client.post(f"/v1/jobs/{job_id}/cancel")
    async with asyncio.timeout(SOON):
        assert (await waiting).json()["status"] == "cancelled"


@pytest.mark.parametrize("wait", ["0", "0s", "0.01", "0.05s", "0.010000000000000002", "1e-05", "4E-228"])
async def test_when_the_time_is_up_the_job_is_answered_as_it_is(client: httpx.AsyncClient, wait: str) -> None:
    job_id = await enqueued(client)
    async with asyncio.timeout(SOON):
        response = await client.get(f"/v1/jobs/{job_id}", params={"wait": wait})
    assert (response.status_code, response.json()["status"]) == (200, "pending")
    assert _watched(client) == 0


@shared
@pytest.mark.parametrize(
    "wait",
    ["61", "61s", "1m1s", "-1", "", "soon", "1e1", "NaN", "Infinity", "5 s", "{}", "9" * 400, "60.00000000000001"],
)
async def test_a_wait_is_a_duration_of_at_most_a_minute(bystander: httpx.AsyncClient, wait: str) -> None:
    response = await bystander.get(f"/v1/jobs/{NOBODYS_ID}", params={"wait": wait})
    assert places(problem(response, 422, "validation_failed")) == [["query", "wait"]]


@shared
async def test_nobody_waits_for_a_job_that_is_not_there(bystander: httpx.AsyncClient) -> None:
    async with asyncio.timeout(SOON):
        problem(await bystander.get(f"/v1/jobs/{NOBODYS_ID}?wait=60"), 404, "not_found")


async def test_a_caller_that_hangs_up_is_not_waited_for_and_not_answered(api: Api, client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client)
    gone, sent = asyncio.Event(), []

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = scope_of("GET", f"/v1/jobs/{job_id}", b"wait=60")
    request = asyncio.create_task(api(scope, receive, send))
    await eventually("somebody waits", lambda: _watched(client) == 1)
    gone.set()
    async with asyncio.timeout(SOON):
        await request
    assert sent == []
    assert _watched(client) == 0


async def test_who_waits_is_answered_when_the_process_is_to_stop(api: Api, client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client)
    waiting = asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=60"))
    await eventually("somebody waits", lambda: _watched(client) == 1)
    api.service.stop_waiting()
    async with asyncio.timeout(SOON):
        response = await waiting
        later = await client.get(f"/v1/jobs/{job_id}?wait=60")
    assert (response.status_code, response.json()["status"]) == (200, "pending")
    assert later.json()["status"] == "pending"
    problem(await client.get("/readyz"), 503, "storage_not_ready")
    assert (await client.get("/healthz")).status_code == 200


async def test_a_hint_of_another_process_is_heard(api: Api, live_storage: Storage) -> None:
    looked = asyncio.Event()
    api.service.watcher.nudge = looked.set  # type: ignore[method-assign]  # what is called is what is asked

    async def say_until_heard() -> bool:
        # Again and again: a hint sent before anybody listened is lost, as hints may be.
        await live_storage.notifier.publish(Hint("ended", "default", ("report",)))
        return looked.is_set()

    await eventually("the hint was heard", say_until_heard)


async def test_everybody_shares_one_look() -> None:
    recording = Recording()
    watcher = watching(recording)
    ids = [new_id() for _ in range(200)]
    waits = [asyncio.create_task(watcher.wait("default", id, timeout=60)) for id in ids for _ in range(2)]
    await eventually("all were asked for together", lambda: frozenset(ids) in recording.asked)
    recording.over = set(ids)
    async with asyncio.timeout(SOON):
        await asyncio.gather(*waits)
    assert len(recording.asked) < 20
    asked = len(recording.asked)
    await eventually("nothing is watched", lambda: not watcher._watched)
    watcher.nudge()
    await asyncio.sleep(0)
    assert len(recording.asked) == asked, "it looks though nobody waits"


async def test_one_look_asks_for_at_most_a_thousand() -> None:
    recording = Recording()
    watcher = watching(recording)
    waits = [asyncio.create_task(watcher.wait("default", new_id(), timeout=60)) for _ in range(2500)]
    await eventually("all were asked for", lambda: len(frozenset().union(*recording.asked)) == 2500)
    assert max(len(ids) for ids in recording.asked) == 1000
    watcher.close()
    async with asyncio.timeout(SOON):
        await asyncio.gather(*waits)


async def test_waiting_outlives_a_storage_that_is_away() -> None:
    recording = Recording()
    recording.fails = True
    watcher, id = watching(recording), new_id()
    waiting = asyncio.create_task(watcher.wait("default", id, timeout=60))
    await eventually("it has asked in vain", lambda: len(recording.asked) > 0)
    recording.fails, recording.over = False, {id}
    watcher.nudge()
    async with asyncio.timeout(SOON):
        await waiting


async def test_a_wait_that_is_given_up_leaves_the_others_alone() -> None:
    recording = Recording()
    watcher, id = watching(recording), new_id()
    leaving = asyncio.create_task(watcher.wait("default", id, timeout=60))
    staying = asyncio.create_task(watcher.wait("default", id, timeout=60))
    await eventually("it was asked for", lambda: len(recording.asked) > 0)
    leaving.cancel()
    recording.over = {id}
    watcher.nudge()
    async with asyncio.timeout(SOON):
        await staying


def _watched(client: httpx.AsyncClient) -> int:
    transport = cast(httpx.ASGITransport, client._transport)
    return sum(len(jobs) for jobs in cast(Api, transport.app).service.watcher._watched.values())
