"""Editing and deleting one job over HTTP (contract 1.2, details C6, C7, C24)."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx
import pytest

from app.main import Api
from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.domain.lifecycle import Verb, allows
from dataqueue.domain.retry import RetryPolicy
from dataqueue.storage.port import Hint, Storage
from tests.api.support import (
    JSON,
    NOBODYS_ID,
    client_of,
    enqueued,
    eventually,
    given_key,
    places,
    problem,
    read,
    started,
)
from tests.storage.given import FOR_NOW, HOUR, REACHABLE, given_claimed_job, given_job

EVERYTHING: Final[dict[str, Any]] = {
    "payload": {"n": 2**60, "f": 1.0, "list": []},
    "priority": -3,
    "run_at": "2030-02-01T00:00:00.000000Z",
    "max_attempts": 7,
    "timeout_ms": 1500,
    "force_kill_on_timeout": True,
    "tags": ["a", "b"],
    "retry_delay": 2.5,
    "retry_backoff": True,
    "retry_delay_max": 60.0,
    "dead_letter_job_type": "grave",
}


async def events(client: httpx.AsyncClient, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/v1/jobs/{job_id}/events")).json()["data"]
    return found


@pytest.mark.parametrize("status", REACHABLE)
async def test_an_edit_agrees_with_the_lifecycle(
    client: httpx.AsyncClient, storage: Storage, status: JobStatus
) -> None:
    job = await given_job(storage, status=status)
    response = await client.patch(f"/v1/jobs/{job.id}", json={"priority": 4})
    if allows(Verb.EDIT, status):
        assert response.status_code == 200, response.text
        assert response.json() == await read(client, str(job.id))
        assert response.json()["priority"] == 4
    else:
        assert status.value in problem(response, 409, "illegal_transition")["detail"]
        assert await storage.jobs("default").get(job.id) == job


@pytest.mark.parametrize("status", REACHABLE)
async def test_a_delete_agrees_with_the_lifecycle(
    client: httpx.AsyncClient, storage: Storage, status: JobStatus
) -> None:
    job = await given_job(storage, status=status)
    response = await client.delete(f"/v1/jobs/{job.id}")
    if allows(Verb.DELETE, status):
        assert (response.status_code, response.content) == (204, b"")
        assert not {"content-type", "content-length"} & set(response.headers)
        for path in (f"/v1/jobs/{job.id}", f"/v1/jobs/{job.id}/events"):
            problem(await client.get(path), 404, "not_found")
        problem(await client.delete(f"/v1/jobs/{job.id}"), 404, "not_found")
    else:
        assert status.value in problem(response, 409, "illegal_transition")["detail"]
        assert await storage.jobs("default").get(job.id) == job


async def test_everything_that_can_be_edited_is_read_back_and_told(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    job_id = await enqueued(client)
    before = await read(client, job_id)
    clock.advance(HOUR)
    after = (await client.patch(f"/v1/jobs/{job_id}", json=EVERYTHING)).json()
    assert {name: after[name] for name in EVERYTHING} == EVERYTHING
    assert (after["pending_reason"], after["updated_at"]) == ("scheduled", "2030-01-01T01:00:00.000000Z")
    same = before.keys() - EVERYTHING.keys() - {"pending_reason", "updated_at"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    told = await events(client, job_id)
    assert [event["event"] for event in told] == ["job:added", "job:edited"]
    assert told[-1]["changes"] == EVERYTHING
    assert told[-1]["tags"] == ["a", "b"]


async def test_a_payload_keeps_what_doubles_would_round(client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client)
    response = await client.patch(
        f"/v1/jobs/{job_id}", content=b'{"payload":[1152921504606846977,1.0,[]]}', headers=JSON
    )
    assert b'"payload":[1152921504606846977,1.0,[]]' in response.content
    assert (
        b'"changes":{"payload":[1152921504606846977,1.0,[]]}' in (await client.get(f"/v1/jobs/{job_id}/events")).content
    )


async def test_null_brings_a_field_back_to_its_default(client: httpx.AsyncClient) -> None:
    asked = {name: value for name, value in EVERYTHING.items() if name != "payload"}
    job_id = await enqueued(client, **asked)
    after = (await client.patch(f"/v1/jobs/{job_id}", json=dict.fromkeys(EVERYTHING))).json()
    fresh = await read(client, await enqueued(client, payload=None))
    assert after | {"id": fresh["id"]} == fresh
    assert (after["payload"], after["tags"], after["priority"]) == (None, [], 0)


async def test_nothing_changes_nothing(client: httpx.AsyncClient, clock: ManualClock) -> None:
    job_id = await enqueued(client)
    before = await read(client, job_id)
    clock.advance(HOUR)
    for body in ({}, {"group": None}):
        response = await client.patch(f"/v1/jobs/{job_id}", json=body)
        assert (response.status_code, response.json()) == (200, before)
    assert [event["event"] for event in await events(client, job_id)] == ["job:added"]


@pytest.mark.parametrize("body", [{"run_at": None}, {"delay": None}])
async def test_a_job_that_waits_for_its_next_attempt_runs_now(
    client: httpx.AsyncClient, storage: Storage, clock: ManualClock, body: dict[str, Any]
) -> None:
    held = await given_claimed_job(storage)
    await storage.jobs("default").fail([held.lease], failures=[FOR_NOW])
    problem(await client.post(f"/v1/jobs/{held.id}/retry"), 409, "illegal_transition")
    assert (await read(client, str(held.id)))["next_attempt_at"] == "2030-01-01T00:01:00.000000Z"
    after = (await client.patch(f"/v1/jobs/{held.id}", json=body)).json()
    assert (after["pending_reason"], after["next_attempt_at"]) == (None, None)
    assert after["run_at"] == "2030-01-01T00:00:00.000000Z"


async def test_a_delay_counts_from_now_and_moves_the_next_attempt(client: httpx.AsyncClient, storage: Storage) -> None:
    held = await given_claimed_job(storage)
    await storage.jobs("default").fail([held.lease], failures=[FOR_NOW])
    after = (await client.patch(f"/v1/jobs/{held.id}", json={"delay": "90m"})).json()
    assert (after["pending_reason"], after["next_attempt_at"]) == ("retry", "2030-01-01T01:30:00.000000Z")


INVALID: Final = {
    "id": ({"id": NOBODYS_ID}, ["id"], "validation_failed"),
    "job type": ({"job_type": "other"}, ["job_type"], "validation_failed"),
    "key": ({"idempotency_key": "k"}, ["idempotency_key"], "validation_failed"),
    "dependencies": ({"depends_on": None}, ["depends_on"], "validation_failed"),
    "status": ({"status": "completed"}, ["status"], "validation_failed"),
    "group": ({"group": {"id": "g"}}, ["group"], "not_available"),
    "killing": ({"force_kill_on_timeout": 1}, ["force_kill_on_timeout"], "validation_failed"),
    "two times": ({"run_at": None, "delay": "5m"}, ["delay"], "validation_failed"),
    "priority": ({"priority": 32768}, ["priority"], "validation_failed"),
    "priority a text": ({"priority": "5"}, ["priority"], "validation_failed"),
    "attempts": ({"max_attempts": 0}, ["max_attempts"], "validation_failed"),
    "timeout": ({"timeout_ms": 0}, ["timeout_ms"], "validation_failed"),
    "too many tags": ({"tags": [str(n) for n in range(51)]}, ["tags"], "validation_failed"),
    "an empty tag": ({"tags": ["a", ""]}, ["tags", 1], "validation_failed"),
    "run_at": ({"run_at": "tomorrow"}, ["run_at"], "validation_failed"),
    "delay": ({"delay": 0}, ["delay"], "validation_failed"),
    "retry_delay": ({"retry_delay": -1}, ["retry_delay"], "validation_failed"),
    "dead letter": ({"dead_letter_job_type": "a b"}, ["dead_letter_job_type"], "validation_failed"),
    "NUL": ({"payload": "a\0b"}, ["payload"], "invalid_json"),
    "depth": ({"payload": json.loads("[" * 65 + "]" * 65)}, ["payload"], "invalid_json"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "place", "code"), INVALID.values(), ids=INVALID)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, body: dict[str, Any], place: list[Any], code: str
) -> None:
    job_id = await enqueued(client)
    before = await read(client, job_id)
    found = problem(await client.patch(f"/v1/jobs/{job_id}", json=body), 422, code)
    assert places(found) == [["body", *place]]
    assert await read(client, job_id) == before


async def test_a_payload_that_is_too_large_is_refused(storage: Storage) -> None:
    async with started(storage, max_payload_bytes=100) as app, client_of(app) as client:
        job_id = await enqueued(client)
        found = problem(await client.patch(f"/v1/jobs/{job_id}", json={"payload": "€" * 40}), 413, "payload_too_large")
        assert "body.payload" in found["detail"]
        assert (await client.patch(f"/v1/jobs/{job_id}", json={"payload": "€" * 30})).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_job_of_nobody_or_of_another_namespace_is_not_found(api: Api, storage: Storage, method: str) -> None:
    job = await given_job(storage, status=JobStatus.COMPLETED)
    key = await given_key(storage, Scope.MANAGE, namespace="other")
    async with client_of(api, key=key) as client:
        for job_id in (job.id, NOBODYS_ID):
            problem(await client.request(method, f"/v1/jobs/{job_id}", json={}), 404, "not_found")
        problem(await client.request(method, "/v1/jobs/1", json={}), 422, "validation_failed")
    assert await storage.jobs("default").get(job.id) == job


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_only_a_key_that_may_manage_may_change(api: Api, storage: Storage, method: str) -> None:
    job = await given_job(storage, status=JobStatus.COMPLETED)
    key = await given_key(storage, Scope.READ, Scope.ENQUEUE, Scope.WORK)
    async with client_of(api, key=key) as client:
        problem(await client.request(method, f"/v1/jobs/{job.id}", json={}), 403, "insufficient_scope")


async def test_the_key_of_a_deleted_job_is_free_again(client: httpx.AsyncClient) -> None:
    first = await enqueued(client, idempotency_key="k")
    await client.post(f"/v1/jobs/{first}/cancel")
    assert (await client.post("/v1/jobs", json={"job_type": "report", "idempotency_key": "k"})).status_code == 200
    await client.delete(f"/v1/jobs/{first}")
    assert (await client.post("/v1/jobs", json={"job_type": "report", "idempotency_key": "k"})).status_code == 201


async def test_workers_are_told_of_a_job_that_was_made_ready(
    api: Api, client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await enqueued(client, delay="1h")
    await api.service.settle()
    heard: list[Hint] = []

    async def publish(hint: Hint) -> None:
        heard.append(hint)

    monkeypatch.setattr(storage.notifier, "publish", publish)
    await client.patch(f"/v1/jobs/{job_id}", json={})
    await api.service.settle()
    assert heard == []
    await client.patch(f"/v1/jobs/{job_id}", json={"run_at": None})
    await api.service.settle()
    assert heard == [Hint("ready", "default", ("report",))]


async def test_a_job_put_off_is_staged_when_it_is_due(live_storage: Storage) -> None:
    async with started(live_storage) as app, client_of(app) as client:
        job_id = await enqueued(client, delay="1h")
        await client.patch(f"/v1/jobs/{job_id}", json={"delay": 0.3})

        async def is_ready() -> bool:
            return (await read(client, job_id))["pending_reason"] is None

        assert not await is_ready()
        await eventually("the job is ready, well before the next look for due jobs", is_ready, seconds=3)


async def test_the_retry_fields_are_edited_one_by_one(client: httpx.AsyncClient, storage: Storage) -> None:
    job = await given_job(storage, retry=RetryPolicy(delay=1.0, backoff=False))
    after = (await client.patch(f"/v1/jobs/{job.id}", json={"retry_delay": None, "retry_delay_max": "1m"})).json()
    assert [after[f"retry_{name}"] for name in ("delay", "backoff", "delay_max")] == [None, False, 60.0]
