"""What the API tells Prometheus (contract 8, details J2)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.main import Api
from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.errors import StorageUnavailable
from dataqueue.metrics.counting import MOST_TYPES, OTHER
from dataqueue.storage.answers import Pool
from dataqueue.storage.port import Storage
from tests.api.scraping import scrape
from tests.api.support import NOBODYS_ID, client_of, enqueued, eventually, given_key, problem, started
from tests.storage.given import given_job


async def test_jobs_are_told_by_status_and_type(client: httpx.AsyncClient, storage: Storage) -> None:
    await enqueued(client, job_type="mail")
    await enqueued(client, job_type="mail")
    await given_job(storage, job_type="report", status=JobStatus.FAILED)
    seen = await scrape(client)
    assert seen.value("jobs", status="pending", job_type="mail") == 2
    assert seen.value("jobs", status="failed", job_type="mail") == 0
    assert seen.value("jobs", status="failed", job_type="report") == 1
    assert seen.value("jobs_last_hour", event="added") == 3
    assert seen.value("storage_up") == 1


async def test_the_oldest_ready_job_has_an_age(client: httpx.AsyncClient, clock: ManualClock) -> None:
    assert (await scrape(client)).value("oldest_ready_age_seconds") == 0
    await enqueued(client)
    clock.advance(timedelta(seconds=90))
    assert (await scrape(client)).value("oldest_ready_age_seconds") == 90


async def test_jobs_that_were_created_are_counted_and_repeats_are_not(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await client.post("/v1/jobs", json={"job_type": "mail", "idempotency_key": "once"})
    await client.post("/v1/jobs/batch", json={"jobs": [{"job_type": "mail"}, {"job_type": "report"}]})
    await client.post("/v1/jobs/import", content=b'{"job_type":"mail"}', headers={"content-type": "application/json"})
    seen = await scrape(client)
    assert seen.value("jobs_enqueued_total", job_type="mail") == 3
    assert seen.value("jobs_enqueued_total", job_type="report") == 1


async def test_requests_are_counted_by_method_route_and_status(client: httpx.AsyncClient) -> None:
    await enqueued(client)
    await client.get(f"/v1/jobs/{NOBODYS_ID}")
    await client.get("/nowhere/dq_abc")
    await client.request("BREW", "/v1/jobs")
    await client.delete("/v1/jobs")
    seen = await scrape(client)
    assert seen.value("http_requests_total", method="POST", route="/v1/jobs", status="201") == 1
    assert seen.value("http_requests_total", method="GET", route="/v1/jobs/{job_id}", status="404") == 1
    assert seen.value("http_requests_total", method="GET", route="_unknown", status="404") == 1
    assert seen.value("http_requests_total", method=OTHER, route="/v1/jobs", status="405") == 1
    assert seen.value("http_request_duration_seconds_count", method="POST", route="/v1/jobs") == 1
    assert seen.value("http_request_duration_seconds_count", method="DELETE", route="_unknown") == 1
    assert not seen.value("http_request_duration_seconds_count", method="DELETE", route="/v1/jobs")


async def test_labels_are_bounded_whatever_is_sent(api: Api, client: httpx.AsyncClient, storage: Storage) -> None:
    jobs = [{"job_type": f"type-{number:04}"} for number in range(1000)]
    assert (await client.post("/v1/jobs/batch", json={"jobs": jobs})).status_code == 201
    for number in range(200):
        await client.request(f"METHOD{number}", f"/path/{number}")
    seen = await scrape(client)
    for name in ("jobs", "jobs_enqueued_total"):
        assert len({labels["job_type"] for labels in seen.labels(name)}) == MOST_TYPES + 1
    assert seen.value("jobs", status="pending", job_type=OTHER) == 1000 - MOST_TYPES
    assert seen.value("jobs", status="pending", job_type="type-0000") == 1
    assert seen.value("jobs_enqueued_total", job_type=OTHER) == 1000 - MOST_TYPES
    assert len(seen.labels("http_requests_total")) <= 5
    names = {name for family in seen.families for sample in family.samples for name in sample.labels}
    assert names == {"job_type", "status", "method", "route", "le", "state", "event"}


async def test_every_name_starts_with_ours(client: httpx.AsyncClient) -> None:
    seen = await scrape(client)
    assert [family.name for family in seen.families if not family.name.startswith("dataqueue_")] == []


async def test_the_pool_and_the_process_are_told_of(client: httpx.AsyncClient) -> None:
    seen = await scrape(client)
    used, idle, most = (
        seen.value("pool_connections", state="used"),
        seen.value("pool_connections", state="idle"),
        seen.value("pool_connections_most"),
    )
    assert used is not None
    assert idle is not None
    assert most is not None
    assert 0 < used + idle <= most
    assert seen.value("process_resident_memory_bytes")


async def test_a_connection_in_use_is_seen_as_used(live_storage: Storage) -> None:
    before = live_storage.pool
    assert (before.used, before.idle) == (0, 0)
    await live_storage.check()
    assert live_storage.pool == Pool(used=0, idle=1, most=before.most)
    seen: list[Pool] = []

    async def look() -> None:
        while not seen:
            if live_storage.pool.used:
                seen.append(live_storage.pool)
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        looking = asyncio.create_task(look())
        while not seen:
            await live_storage.check()
        await looking


async def test_the_event_loops_lag_is_measured(api: Api, client: httpx.AsyncClient) -> None:
    await eventually("a measurement", lambda: sum(api.service.metrics.lag.lags.counts) > 0)
    seen = await scrape(client)
    assert (seen.value("event_loop_lag_seconds_count") or 0) > 0
    assert seen.value("event_loop_overdue_seconds") is not None


async def test_event_streams_are_counted_while_they_are_open(api: Api, client: httpx.AsyncClient) -> None:
    with api.service.hub.following("default"):
        assert (await scrape(client)).value("event_streams") == 1
    assert (await scrape(client)).value("event_streams") == 0
    assert (await scrape(client)).value("event_delay_seconds") == 0


async def test_what_somebody_adds_is_told(api: Api, client: httpx.AsyncClient) -> None:
    from dataqueue.metrics.families import gauge

    api.service.metrics.sources.append(lambda: [gauge("of_somebody", "Theirs.", (), {(): 7})])
    assert (await scrape(client)).value("of_somebody") == 7


async def test_without_a_key_it_is_refused_and_without_the_scope_too(storage: Storage) -> None:
    enqueuer = await given_key(storage, Scope.ENQUEUE)
    async with started(storage) as app:
        async with client_of(app) as nobody:
            problem(await nobody.get("/metrics"), 401, "unauthenticated")
        async with client_of(app, key=enqueuer) as client:
            problem(await client.get("/metrics"), 403, "insufficient_scope")


async def test_nothing_of_another_namespace_is_told(storage: Storage) -> None:
    ours = await given_key(storage, Scope.READ)
    theirs = await given_key(storage, Scope.ADMIN, namespace="theirs")
    async with started(storage) as app, client_of(app, key=ours) as us, client_of(app, key=theirs) as them:
        await enqueued(them, job_type="their-secret-plan")
        text = (await us.get("/metrics")).text
        assert "their" not in text
        assert (await scrape(us)).value("jobs_last_hour", event="added") == 0
        assert (await scrape(them)).value("jobs", status="pending", job_type="their-secret-plan") == 1
        assert (await scrape(them)).value("jobs_enqueued_total", job_type="their-secret-plan") == 1


async def test_open_it_needs_no_key_from_anywhere_and_tells_of_the_namespace_of_the_settings(storage: Storage) -> None:
    theirs = await given_key(storage, Scope.ADMIN, namespace="theirs")
    async with started(storage, metrics_open=True, namespace="theirs") as app:
        async with client_of(app, key=theirs) as them, client_of(app, client="10.0.0.7") as anybody:
            await enqueued(them, job_type="mail")
            assert (await scrape(anybody)).value("jobs", status="pending", job_type="mail") == 1
            problem(await anybody.get("/v1/stats"), 401, "unauthenticated")
        async with client_of(app, key="dq_" + "x" * 43) as client:
            problem(await client.get("/metrics"), 401, "unauthenticated")


async def test_a_namespace_that_nobody_has_made_has_no_jobs(storage: Storage) -> None:
    async with started(storage, metrics_open=True, namespace="nobodys") as app, client_of(app) as client:
        seen = await scrape(client)
        assert seen.value("storage_up") == 1
        assert seen.labels("jobs") == []


@pytest.mark.parametrize("settings", [{}, {"open_access": True}, {"metrics_open": True}])
async def test_while_the_storage_is_away_the_process_still_tells_of_itself(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    async def away(*_: object) -> None:
        raise StorageUnavailable("gone")

    key = None if settings else await given_key(storage, Scope.READ)
    async with started(storage, **settings) as app, client_of(app, key=key) as client:
        assert (await scrape(client)).value("storage_up") == 1
        # What was found out about the key is not fresh any more.
        monkeypatch.setattr(app.service.auth, "_now", lambda: 1e12)
        monkeypatch.setattr(storage.keys, "find", away)
        monkeypatch.setattr(storage.keys, "any_exist", away)
        monkeypatch.setattr(type(storage.tally("default")), "stats", away)
        seen = await scrape(client)
        assert seen.value("storage_up") == 0
        assert seen.labels("jobs") == []
        assert seen.value("http_requests_total", method="GET", route="/metrics", status="200") == 1
        async with client_of(app, key="dq_" + "x" * 43) as stranger:
            problem(await stranger.get("/metrics"), 503, "storage_unavailable")
