"""Maintenance on demand (contract 7, details J1 and J3)."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

import app.api.maintenance as module
from app.schemas.maintenance import MaintenanceOut
from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.given_tokens import completed, created, token_of
from tests.api.support import client_of, given_key, read, shared, started
from tests.storage.given import LEASE, SECOND, given_claimed_job, given_job, new_job

DAY = timedelta(days=1)
NOTHING = {"reclaimed_jobs": 0, "expired_tokens": 0, "cleaned_up_jobs": 0, "cleaned_up_events": 0}


async def run(client: httpx.AsyncClient) -> dict[str, int]:
    response = await client.post("/v1/maintenance/run")
    assert response.status_code == 200, response.text
    MaintenanceOut.model_validate_json(response.content)
    found: dict[str, int] = response.json()
    return found


@shared
@pytest.mark.parametrize("body", ["", "{}"])
async def test_with_nothing_to_do_it_answers_zeros(bystander: httpx.AsyncClient, body: str) -> None:
    response = await bystander.post("/v1/maintenance/run", content=body)
    assert (response.status_code, response.json()) == (200, NOTHING)
    assert (await bystander.post("/v1/maintenance/run", json={"all": True})).status_code == 422


async def test_it_takes_back_what_silent_workers_hold(
    client: httpx.AsyncClient, storage: Storage, clock: ManualClock
) -> None:
    job = await given_claimed_job(storage)
    assert await run(client) == NOTHING
    clock.advance(LEASE + SECOND)
    assert await run(client) == {**NOTHING, "reclaimed_jobs": 1}
    assert ((await read(client, str(job.id)))["status"], (await read(client, str(job.id)))["crashes"]) == ("pending", 1)


async def test_crashes_are_bounded_as_the_settings_say(storage: Storage, clock: ManualClock) -> None:
    async with started(storage, max_crashes=0) as app, client_of(app) as client:
        job = await given_claimed_job(storage)
        clock.advance(LEASE + SECOND)
        assert (await run(client))["reclaimed_jobs"] == 1
        assert (await read(client, str(job.id)))["failure_reason"] == "crashed"


async def test_it_removes_what_has_been_kept_for_as_long_as_the_settings_say(
    storage: Storage, clock: ManualClock
) -> None:
    kept = {"keep_completed": DAY, "keep_failed": 3 * DAY, "keep_cancelled": 3 * DAY, "keep_events": 10 * DAY}
    async with started(storage, **kept) as app, client_of(app) as client:
        done, failed = [await given_job(storage, status=s) for s in (JobStatus.COMPLETED, JobStatus.FAILED)]
        clock.advance(DAY + SECOND)
        assert await run(client) == {**NOTHING, "cleaned_up_jobs": 1}
        assert (await client.get(f"/v1/jobs/{done.id}")).status_code == 404
        assert (await client.get(f"/v1/jobs/{failed.id}")).status_code == 200
        clock.advance(10 * DAY)
        found = await run(client)
        assert found["cleaned_up_jobs"] == 1
        assert found["cleaned_up_events"] >= 6
        assert await run(client) == NOTHING


async def test_it_expires_tokens_and_removes_ended_ones_of_no_job(storage: Storage, clock: ManualClock) -> None:
    async with started(storage, keep_tokens=DAY, keep_events=100 * DAY) as app, client_of(app) as client:
        done, due, waiting = [await created(client, **fields) for fields in ({}, {"timeout": 60}, {})]
        await completed(client, done["id"])
        clock.advance(120 * SECOND)
        assert await run(client) == {**NOTHING, "expired_tokens": 1}
        assert (await token_of(client, due["id"]))["status"] == "timed_out"
        clock.advance(DAY + SECOND)
        assert await run(client) == NOTHING
        for token, status in ((done, 404), (due, 404), (waiting, 200)):
            assert (await client.get(f"/v1/tokens/{token['id']}")).status_code == status


async def test_it_does_all_there_is_in_as_many_batches_as_it_takes(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    monkeypatch.setattr(module, "_FOLD", 2)
    async with started(storage, keep_cancelled=DAY) as app, client_of(app) as client:
        jobs = [new_job() for _ in range(5)]
        await storage.jobs("default").enqueue([jobs])
        await storage.jobs("default").cancel([job.id for job in jobs])
        for _ in range(3):
            await given_claimed_job(storage)
        clock.advance(DAY + SECOND)
        assert await run(client) == {**NOTHING, "reclaimed_jobs": 3, "cleaned_up_jobs": 5}
        assert await storage.upkeep.fold_counts(limit=100) == 0


async def test_it_takes_on_nothing_more_when_its_time_is_up(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 0.0)
    async with started(storage) as app, client_of(app) as client:
        await given_claimed_job(storage)
        clock.advance(LEASE + SECOND)
        assert await run(client) == NOTHING


async def test_jobs_of_another_namespace_are_left_alone(storage: Storage, clock: ManualClock) -> None:
    await given_claimed_job(storage)
    await given_job(storage, status=JobStatus.CANCELLED)
    key = await given_key(storage, Scope.MANAGE, namespace="other")
    clock.advance(40 * DAY)
    async with started(storage, keep_events=100 * DAY) as app, client_of(app, key=key) as client:
        assert await run(client) == NOTHING
