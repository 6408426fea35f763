"""Changing every job that fits a filter, over HTTP (contract 1.2, details C19 and C20)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx
import pytest

from app.main import Api
from dataqueue import sweeping
from dataqueue.clock import ManualClock
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.ids import new_id
from dataqueue.storage.port import Hint, Storage
from tests.api.support import client_of, enqueued, given_key, places, problem, read, scope_of, shared, started
from tests.storage.given import HOUR, MINUTE, REACHABLE, given_claimed_job, given_job, new_job

NOON: Final = "2030-01-01T12:00:00Z"
VERBS: Final = ("cancel", "retry", "edit", "delete")


def body_for(verb: str, matching: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"filter": matching, **({"updates": {"priority": 9}} if verb == "edit" else {}), **more}


async def bulk(client: httpx.AsyncClient, verb: str, matching: dict[str, Any], **more: Any) -> tuple[int, int]:
    response = await client.post(f"/v1/jobs/{verb}", json=body_for(verb, matching, **more))
    assert response.status_code == 200, response.text
    answer = response.json()
    assert set(answer) == {"matched", "changed"}
    return answer["matched"], answer["changed"]


@pytest.mark.parametrize(("verb", "count"), [("cancel", 3), ("retry", 2), ("edit", 1), ("delete", 3)])
async def test_a_verb_takes_what_its_statuses_are_and_passes_over_the_rest(
    client: httpx.AsyncClient, storage: Storage, verb: str, count: int
) -> None:
    made = [await given_job(storage, status=status) for status in REACHABLE]
    assert await bulk(client, verb, {}, dry_run=True) == (count, 0)
    assert [await storage.jobs("default").get(job.id) for job in made] == made
    assert await bulk(client, verb, {}) == (count, count)
    left = (await client.get("/v1/jobs")).json()["data"]
    statuses = sorted(job["status"] for job in left)
    assert (
        statuses
        == {
            "cancel": ["cancelled", "cancelled", "cancelled", "completed", "failed", "processing"],
            "retry": ["completed", "pending", "pending", "pending", "processing", "waiting"],
            "edit": ["cancelled", "completed", "failed", "pending", "processing", "waiting"],
            "delete": ["pending", "processing", "waiting"],
        }[verb]
    )
    assert [job["status"] for job in left if job["priority"] == 9] == (["pending"] if verb == "edit" else [])


async def test_a_running_job_is_asked_once(client: httpx.AsyncClient, storage: Storage) -> None:
    held = await given_claimed_job(storage)
    assert await bulk(client, "cancel", {"status": "processing"}) == (1, 1)
    assert (await read(client, str(held.id)))["cancel_requested"] is True
    assert await bulk(client, "cancel", {"status": "processing"}) == (1, 0)


async def test_each_field_of_a_filter_narrows(client: httpx.AsyncClient, storage: Storage, clock: ManualClock) -> None:
    await given_job(storage, job_type="a", tags=("x",), priority=1)
    clock.advance(HOUR)
    await given_job(storage, job_type="b", tags=("x", "y"), delay=HOUR)
    clock.advance(HOUR)
    await given_job(storage, job_type="c", status=JobStatus.PROCESSING)
    expected: list[tuple[dict[str, Any], int]] = [
        ({}, 3),
        ({"status": "pending"}, 2),
        ({"status": ["pending", "processing"]}, 3),
        ({"status": "completed"}, 0),
        ({"job_type": "a"}, 1),
        ({"job_type": ["a", "c", "nothing", "a"]}, 2),
        ({"priority": 1}, 1),
        ({"priority": 0}, 2),
        ({"tags": ["x"]}, 2),
        ({"tags": ["x", "y"], "tag_mode": "all"}, 1),
        ({"tags": ["x"], "tag_mode": "exact"}, 1),
        ({"tags": ["y", "z"], "tag_mode": "any"}, 1),
        ({"tags": ["y"], "tag_mode": "none"}, 2),
        ({"group_id": "g"}, 0),
        ({"cron_id": str(new_id())}, 0),
        ({"created_at": {"gte": "2030-01-01T01:00:00Z"}}, 2),
        ({"created_at": {"gt": "2030-01-01T00:00:00Z", "lt": "2030-01-01T02:00:00Z"}}, 1),
        ({"created_at": "2030-01-01T02:00:00+01:00"}, 1),
        ({"run_at": {"eq": "2030-01-01T02:00:00Z"}}, 2),
        ({"run_at": {"lte": "2030-01-01T00:00:00Z"}, "status": "pending"}, 1),
    ]
    for matching, count in expected:
        assert await bulk(client, "cancel", matching, dry_run=True) == (count, 0), matching


async def test_updates_are_those_of_one_job(client: httpx.AsyncClient) -> None:
    first, second = await enqueued(client, tags=["a"]), await enqueued(client, tags=["b"])
    updates = {"tags": ["c"], "delay": "1h", "payload": [1.0], "force_kill_on_timeout": True}
    assert await bulk(client, "edit", {"tags": ["a"]}, updates=updates) == (1, 1)
    job = await read(client, first)
    assert (job["tags"], job["payload"], job["run_at"]) == (["c"], [1.0], "2030-01-01T01:00:00.000000Z")
    assert job["force_kill_on_timeout"] is True
    assert (await read(client, second))["tags"] == ["b"]


INVALID: Final[dict[str, tuple[str, Any, list[Any]]]] = {
    "no filter": ("cancel", {}, ["filter"]),
    "null": ("cancel", {"filter": None}, ["filter"]),
    "an unknown field": ("cancel", {"filter": {"state": "failed"}}, ["filter", "state"]),
    "an unknown field beside": ("cancel", {"filter": {}, "limit": 5}, ["limit"]),
    "an unknown status": ("cancel", {"filter": {"status": "done"}}, ["filter", "status", 0]),
    "an empty list of statuses": ("delete", {"filter": {"status": []}}, ["filter", "status"]),
    "a null status": ("delete", {"filter": {"status": None}}, ["filter", "status"]),
    "an empty list of types": ("delete", {"filter": {"job_type": []}}, ["filter", "job_type"]),
    "an empty list of tags": ("delete", {"filter": {"tags": []}}, ["filter", "tags"]),
    "a text for tags": ("delete", {"filter": {"tags": "a"}}, ["filter", "tags"]),
    "a null priority": ("delete", {"filter": {"priority": None}}, ["filter", "priority"]),
    "a null group": ("delete", {"filter": {"group_id": None}}, ["filter", "group_id"]),
    "a null cron": ("delete", {"filter": {"cron_id": None}}, ["filter", "cron_id"]),
    "an empty range": ("delete", {"filter": {"created_at": {}}}, ["filter", "created_at"]),
    "a null bound": ("delete", {"filter": {"created_at": {"lt": None}}}, ["filter", "created_at", "lt"]),
    "a null range": ("delete", {"filter": {"run_at": None}}, ["filter", "run_at"]),
    "an unknown bound": ("delete", {"filter": {"run_at": {"before": NOON}}}, ["filter", "run_at", "before"]),
    "no instant": ("delete", {"filter": {"run_at": "yesterday"}}, ["filter", "run_at", "eq"]),
    "a mode without tags": ("delete", {"filter": {"tag_mode": "any"}}, ["filter", "tag_mode"]),
    "a page's size": ("cancel", {"filter": {"limit": 5}}, ["filter", "limit"]),
    "dry_run a text": ("cancel", {"filter": {}, "dry_run": "true"}, ["dry_run"]),
    "edit without updates": ("edit", {"filter": {}}, ["updates"]),
    "edit with empty updates": ("edit", {"filter": {}, "updates": {}}, ["updates"]),
    "edit with nothing new": ("edit", {"filter": {}, "updates": {"group": None}}, ["updates"]),
    "edit of what stays": ("edit", {"filter": {}, "updates": {"job_type": "x"}}, ["updates", "job_type"]),
    "edit with two times": ("edit", {"filter": {}, "updates": {"run_at": None, "delay": 1}}, ["updates", "delay"]),
    "updates of another verb": ("cancel", {"filter": {}, "updates": {"priority": 1}}, ["updates"]),
}  # fmt: skip


@shared
@pytest.mark.parametrize(("verb", "body", "place"), INVALID.values(), ids=INVALID)
async def test_what_says_too_little_or_too_much_is_refused(
    bystander: httpx.AsyncClient, verb: str, body: Any, place: list[Any]
) -> None:
    found = problem(await bystander.post(f"/v1/jobs/{verb}", json=body), 422, "validation_failed")
    assert places(found) == [["body", *place]]


@shared
async def test_a_feature_to_come_is_not_available(bystander: httpx.AsyncClient) -> None:
    updates = {"group": {"id": "g"}}
    found = problem(
        await bystander.post("/v1/jobs/edit", json={"filter": {}, "updates": updates}), 422, "not_available"
    )
    assert places(found) == [["body", "updates", "group"]]


async def test_a_payload_that_is_too_large_is_refused(storage: Storage) -> None:
    async with started(storage, max_payload_bytes=64) as app, client_of(app) as client:
        body = {"filter": {}, "updates": {"payload": "x" * 64}}
        found = problem(await client.post("/v1/jobs/edit", json=body), 413, "payload_too_large")
        assert "body.updates.payload" in found["detail"]


@pytest.mark.parametrize("verb", VERBS)
async def test_only_a_key_that_may_manage_may_change_and_only_in_its_namespace(
    api: Api, storage: Storage, verb: str
) -> None:
    made = [await given_job(storage, status=status) for status in REACHABLE]
    reader = await given_key(storage, Scope.READ, Scope.ENQUEUE, Scope.WORK)
    manager = await given_key(storage, Scope.MANAGE, namespace="other")
    async with client_of(api, key=reader) as client:
        problem(await client.post(f"/v1/jobs/{verb}", json=body_for(verb, {})), 403, "insufficient_scope")
    async with client_of(api, key=manager) as client:
        assert await bulk(client, verb, {}) == (0, 0)
    assert [await storage.jobs("default").get(job.id) for job in made] == made


async def test_batches_add_up_and_large_payloads_make_them_small(
    client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_BATCH", 10)
    jobs = storage.jobs("default")
    await jobs.enqueue([[new_job(job_type=f"t{n % 3}") for n in range(35)]])
    limits = []
    sweep = jobs.sweep

    async def noted(*args: Any, limit: int, **how: Any) -> Any:
        limits.append(limit)
        return await sweep(*args, limit=limit, **how)

    monkeypatch.setattr(jobs, "sweep", noted)
    assert await bulk(client, "edit", {"job_type": "t1"}, updates={"payload": "x" * 9000}) == (12, 12)
    assert len(limits) >= 4
    assert set(limits) == {3}
    assert await bulk(client, "cancel", {}) == (35, 35)
    assert await bulk(client, "retry", {"status": "cancelled"}) == (35, 35)
    assert await bulk(client, "cancel", {}) == (35, 35)
    assert await bulk(client, "delete", {}) == (35, 35)
    assert (await client.get("/v1/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    ("verb", "expected"),
    [("cancel", {("cancel", "t"), ("ended", "t")}), ("retry", {("ready", "u")}), ("edit", {("ready", "t")})],
)
async def test_workers_are_told_of_the_types_that_were_changed(
    client: httpx.AsyncClient,
    storage: Storage,
    verb: str,
    expected: set[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await given_job(storage, job_type="t")
    await given_job(storage, job_type="u", status=JobStatus.FAILED)
    await given_job(storage, job_type="v", status=JobStatus.COMPLETED)
    heard: list[Hint] = []

    async def publish(hint: Hint) -> None:
        heard.append(hint)

    monkeypatch.setattr(storage.notifier, "publish", publish)
    assert await bulk(client, verb, {}, dry_run=True) == (1, 0)
    assert await bulk(client, verb, {}) == (1, 1)
    await asyncio.sleep(0)
    assert {(hint.kind, name) for hint in heard for name in hint.names} == expected
    assert {hint.namespace for hint in heard} == {"default"}


async def test_who_waits_for_a_job_hears_of_its_end_by_a_sweep(client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client)
    waiting = asyncio.create_task(client.get(f"/v1/jobs/{job_id}", params={"wait": "30s"}))
    await asyncio.sleep(0)
    assert await bulk(client, "cancel", {}) == (1, 1)
    assert (await waiting).json()["status"] == "cancelled"


async def test_a_caller_who_hangs_up_stops_it_after_the_batch_under_way(
    api: Api, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_BATCH", 5)
    jobs = storage.jobs("default")
    await jobs.enqueue([[new_job() for _ in range(20)]])
    body, gone, said = b'{"filter":{}}', asyncio.Event(), []
    sweep = jobs.sweep

    async def leave_during(*args: Any, **how: Any) -> Any:
        gone.set()
        await asyncio.sleep(0)
        return await sweep(*args, **how)

    monkeypatch.setattr(jobs, "sweep", leave_during)
    asked = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    await api(scope_of("POST", "/v1/jobs/cancel"), receive, send)
    assert said == []
    monkeypatch.undo()
    found = (await jobs.page(JobFilter(), before=None, limit=100)).jobs
    assert [job.status for job in found] == [JobStatus.CANCELLED] * 5 + [JobStatus.PENDING] * 15


async def test_a_service_that_is_to_stop_ends_it_after_the_batch_under_way(
    api: Api, client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_BATCH", 5)
    jobs = storage.jobs("default")
    await jobs.enqueue([[new_job() for _ in range(20)]])
    api.service.stop_waiting()
    found = problem(await client.post("/v1/jobs/cancel", json={"filter": {}}), 503, "storage_not_ready")
    assert "stays changed" in found["detail"]
    monkeypatch.undo()
    page = await jobs.page(JobFilter(), before=None, limit=100)
    assert sum(job.status is JobStatus.CANCELLED for job in page.jobs) == 5


async def test_many_put_off_are_staged_when_they_are_due(live_storage: Storage) -> None:
    async with started(live_storage) as app, client_of(app) as client:
        job_id = await enqueued(client, delay="1h")
        assert await bulk(client, "edit", {}, updates={"delay": 0.3}) == (1, 1)
        deadline = asyncio.get_running_loop().time() + 3
        while (await read(client, job_id))["pending_reason"] is not None:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)


async def test_an_edit_of_the_time_wakes_every_job_that_waits(client: httpx.AsyncClient, storage: Storage) -> None:
    ids = [await enqueued(client, delay=MINUTE.total_seconds()) for _ in range(3)]
    assert await bulk(client, "edit", {"run_at": {"gt": "2030-01-01T00:00:30Z"}}, updates={"run_at": None}) == (3, 3)
    for job_id in ids:
        assert (await read(client, job_id))["pending_reason"] is None
