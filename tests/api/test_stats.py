"""A namespace at a glance (contract 1.2, details C23)."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx

from app.schemas.stats import StatsOut
from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.support import client_of, enqueued, given_key, shared, started
from tests.storage.given import claim, given_job

NONE: dict[str, int] = {status.value: 0 for status in JobStatus}
NO_LATENCY = {"p50": None, "p95": None, "p99": None}


@shared
async def test_stats_of_nothing_are_complete(bystander: httpx.AsyncClient) -> None:
    response = await bystander.get("/v1/stats")
    assert response.json() == {
        "by_status": NONE,
        "by_type": {},
        "oldest_ready_age": None,
        "last_hour": {"added": 0, "completed": 0, "failed": 0, "latency_ms": NO_LATENCY},
    }
    assert (await bystander.get("/v1/stats?since=1h")).status_code == 422


async def test_stats_have_the_documented_shape(client: httpx.AsyncClient, storage: Storage, clock: ManualClock) -> None:
    await given_job(storage, job_type="a/b", status=JobStatus.FAILED)
    await enqueued(client, job_type="mail")
    clock.advance(timedelta(seconds=1.5))
    await enqueued(client, job_type="other")
    [job] = await claim(storage.jobs("default"), "other")
    clock.advance(timedelta(milliseconds=100))
    await storage.jobs("default").complete([job.lease], outputs=[None])
    stats = (await client.get("/v1/stats")).json()
    latency = stats["last_hour"].pop("latency_ms")
    assert stats == {
        "by_status": {**NONE, "pending": 1, "completed": 1, "failed": 1},
        "by_type": {
            "a/b": {**NONE, "failed": 1}, "mail": {**NONE, "pending": 1}, "other": {**NONE, "completed": 1}
        },
        "oldest_ready_age": 1.6,
        "last_hour": {"added": 3, "completed": 1, "failed": 1},
    }  # fmt: skip
    assert all(abs(latency[name] - 100) < 4.5 for name in ("p50", "p95", "p99"))
    stats["last_hour"]["latency_ms"] = latency
    StatsOut.model_validate_json(json.dumps(stats))


async def test_a_key_sees_the_stats_of_its_own_namespace(storage: Storage) -> None:
    await given_job(storage)
    key = await given_key(storage, Scope.READ, namespace="other")
    async with started(storage) as app, client_of(app, key=key) as client:
        stats = (await client.get("/v1/stats")).json()
        assert (stats["by_type"], stats["last_hour"]["added"]) == ({}, 0)
