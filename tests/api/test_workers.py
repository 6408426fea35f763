"""Workers, and draining one (contract 7, details H5)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.main import Api
from app.schemas.workers import WorkerList
from dataqueue.clock import ManualClock
from dataqueue.domain.keys import Scope
from dataqueue.domain.workers import Orders
from dataqueue.storage.port import LIVE_FOR, Storage
from tests.api.support import client_of, given_key, places, problem, shared, started
from tests.storage.given import NAMESPACE, given_claimed_job


async def beat(storage: Storage, worker_id: str) -> Orders:
    return await storage.workers(NAMESPACE).beat(worker_id, kind="python", job_types=["mail", "report"])


async def test_a_worker_has_the_documented_shape(client: httpx.AsyncClient, storage: Storage) -> None:
    assert (await client.get("/v1/workers")).json() == {"data": []}
    await beat(storage, "ann")
    await given_claimed_job(storage, worker_id="ann")
    response = await client.get("/v1/workers")
    assert response.json() == {
        "data": [
            {
                "id": "ann", "kind": "python", "job_types": ["mail", "report"], "jobs_held": 1,
                "last_beat_at": "2030-01-01T00:00:00.000000Z", "state": "run",
            }
        ]
    }  # fmt: skip
    WorkerList.model_validate_json(response.content)


@pytest.mark.parametrize("worker_id", ["ann", "host/1", "drain", "a:1-x_y@z."])
async def test_a_worker_is_told_to_drain_and_it_is_said_at_once(
    api: Api, client: httpx.AsyncClient, storage: Storage, worker_id: str
) -> None:
    await beat(storage, worker_id)
    told: list[Any] = []

    async def publish(hint: Any) -> None:
        told.append((hint.kind, hint.names))

    api.service.storage.notifier.publish = publish  # type: ignore[method-assign]
    for _ in range(2):
        response = await client.post(f"/v1/workers/{worker_id.replace('/', '%2F')}/drain")
        assert (response.status_code, response.json()["id"], response.json()["state"]) == (200, worker_id, "drain")
        await api.service.settle()
    assert told == [("drain", (worker_id,))] * 2
    assert await beat(storage, worker_id) is Orders.DRAIN
    assert [one["state"] for one in (await client.get("/v1/workers")).json()["data"]] == ["drain"]


async def test_a_worker_that_is_silent_or_unknown_is_not_found(
    client: httpx.AsyncClient, storage: Storage, clock: ManualClock
) -> None:
    problem(await client.post("/v1/workers/ann/drain"), 404, "not_found")
    await beat(storage, "ann")
    clock.advance(LIVE_FOR)
    problem(await client.post("/v1/workers/ann/drain"), 404, "not_found")
    assert (await client.get("/v1/workers")).json() == {"data": []}


@shared
async def test_an_id_that_is_none_is_invalid(bystander: httpx.AsyncClient) -> None:
    found = problem(await bystander.post("/v1/workers/%00/drain"), 422, "validation_failed")
    assert places(found) == [["path", "worker_id"]]
    assert (await bystander.get("/v1/workers?limit=1")).status_code == 422


async def test_a_key_sees_and_drains_the_workers_of_its_own_namespace(storage: Storage) -> None:
    await beat(storage, "ann")
    key = await given_key(storage, Scope.ADMIN, namespace="other")
    async with started(storage) as app, client_of(app, key=key) as client:
        assert (await client.get("/v1/workers")).json() == {"data": []}
        problem(await client.post("/v1/workers/ann/drain"), 404, "not_found")
    assert await beat(storage, "ann") is Orders.RUN
