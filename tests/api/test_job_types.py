"""Job types: read, set, pause, resume (contract 1.3, details B12, B13, D1 and D2)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.main import Api
from app.schemas.job_types import JobTypeOut, JobTypePage
from dataqueue.domain.job import JobStatus
from dataqueue.storage.port import Storage
from tests.api.support import JSON, client_of, enqueued, places, problem, read, shared, started
from tests.storage.given import NAMESPACE, claim

NONE: dict[str, int] = {status.value: 0 for status in JobStatus}
UNSET: dict[str, Any] = {
    "paused": False, "concurrency": None, "group_concurrency": None, "rate_limit": None, "max_attempts": None,
    "timeout_ms": None, "retry_delay": None, "retry_backoff": None, "retry_delay_max": None,
}  # fmt: skip


def as_read(job_type: str, counts: dict[str, int] | None = None, **settings: Any) -> dict[str, Any]:
    return {"job_type": job_type, **UNSET, **settings, "counts": {**NONE, **(counts or {})}}


async def test_a_type_has_the_documented_shape(client: httpx.AsyncClient) -> None:
    await enqueued(client, job_type="mail")
    expected = as_read("mail", {"pending": 1})
    found = (await client.get("/v1/job-types/mail")).json()
    assert found == expected
    assert list(found) == list(JobTypeOut.model_fields)
    page = (await client.get("/v1/job-types")).json()
    assert page == {"data": [expected], "next_cursor": None}
    JobTypePage.model_validate_json(json.dumps(page))


@shared
async def test_a_type_that_nobody_has_heard_of_is_not_found(bystander: httpx.AsyncClient) -> None:
    problem(await bystander.get("/v1/job-types/mail"), 404, "not_found")
    assert (await bystander.get("/v1/job-types")).json() == {"data": [], "next_cursor": None}


async def test_what_is_put_replaces_all_that_was(client: httpx.AsyncClient) -> None:
    given = {
        "paused": True, "max_attempts": 7, "timeout_ms": 1500, "retry_delay": "1m", "retry_backoff": False,
        "retry_delay_max": {"hours": 1}, "concurrency": None,
    }  # fmt: skip
    response = await client.put("/v1/job-types/mail", json=given)
    expected = as_read(
        "mail",
        paused=True,
        max_attempts=7,
        timeout_ms=1500,
        retry_delay=60.0,
        retry_backoff=False,
        retry_delay_max=3600.0,
    )
    assert (response.status_code, response.json()) == (200, expected)
    assert (await client.get("/v1/job-types/mail")).json() == expected
    assert (await client.put("/v1/job-types/mail", json={"timeout_ms": 1})).json() == as_read("mail", timeout_ms=1)
    assert (await client.put("/v1/job-types/mail", json={})).json() == as_read("mail")
    assert (await client.get("/v1/job-types")).json()["data"] == [as_read("mail")]


@shared
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("concurrency", 5, "not_available"), ("group_concurrency", 1, "not_available"),
        ("rate_limit", {"limit": 1, "period": 1}, "not_available"), ("max_attempts", 0, "validation_failed"),
        ("max_attempts", 1001, "validation_failed"), ("max_attempts", 1.5, "validation_failed"),
        ("max_attempts", "5", "validation_failed"), ("timeout_ms", 0, "validation_failed"),
        ("retry_delay", -1, "validation_failed"), ("retry_backoff", 1, "validation_failed"),
        ("paused", None, "validation_failed"), ("paused", "true", "validation_failed"),
        ("counts", {}, "validation_failed"), ("job_type", "mail", "validation_failed"),
    ],
)  # fmt: skip
async def test_a_setting_that_means_nothing_is_refused(
    bystander: httpx.AsyncClient, field: str, value: Any, code: str
) -> None:
    found = problem(await bystander.put("/v1/job-types/never", json={field: value}), 422, code)
    assert places(found)[0][:2] == ["body", field]
    problem(await bystander.get("/v1/job-types/never"), 404, "not_found")


@shared
@pytest.mark.parametrize("body", ["", "[]", "null", "{", '{"paused":true}x'])
async def test_settings_are_an_object(bystander: httpx.AsyncClient, body: str) -> None:
    assert (await bystander.put("/v1/job-types/never", content=body, headers=JSON)).status_code == 422


async def test_defaults_hold_for_new_jobs_that_name_none(client: httpx.AsyncClient) -> None:
    await client.put("/v1/job-types/mail", json={"max_attempts": 7, "timeout_ms": 50, "retry_delay": 5})
    job = await read(client, await enqueued(client, job_type="mail"))
    assert (job["max_attempts"], job["timeout_ms"], job["retry_delay"]) == (7, 50, 5)
    job = await read(client, await enqueued(client, job_type="mail", max_attempts=3, timeout_ms=9, retry_backoff=True))
    assert (job["max_attempts"], job["timeout_ms"], job["retry_delay"], job["retry_backoff"]) == (3, 9, None, True)
    answer = await client.post("/v1/jobs/batch", json={"jobs": [{"job_type": "mail"}, {"job_type": "other"}]})
    ids = [one["id"] for one in answer.json()["jobs"]]
    assert [(await read(client, job_id))["max_attempts"] for job_id in ids] == [7, 3]


@pytest.mark.parametrize("name", ["mail", "a/b", "pause", "a/pause", "resume/", "@x:y.z-_"])
async def test_a_type_is_paused_and_resumed_by_whatever_name(
    client: httpx.AsyncClient, storage: Storage, name: str
) -> None:
    path = f"/v1/job-types/{name.replace('/', '%2F')}"
    job_id = await enqueued(client, job_type=name)
    for _ in range(2):
        response = await client.post(f"{path}/pause")
        assert (response.status_code, response.json()) == (200, as_read(name, {"pending": 1}, paused=True))
        assert (await read(client, job_id))["pending_reason"] == "paused"
    assert await claim(storage.jobs(NAMESPACE), name) == []
    for _ in range(2):
        response = await client.post(f"{path}/resume", json={})
        assert (response.status_code, response.json()) == (200, as_read(name, {"pending": 1}))
        assert (await read(client, job_id))["pending_reason"] is None
    assert len(await claim(storage.jobs(NAMESPACE), name)) == 1


async def test_pausing_a_type_called_pause_is_not_reading_it(client: httpx.AsyncClient) -> None:
    """The names of operations are names like any other."""
    assert (await client.post("/v1/job-types/pause/pause")).json()["paused"] is True
    assert (await client.get("/v1/job-types/pause")).json()["job_type"] == "pause"
    problem(await client.post("/v1/job-types/pause"), 405, "method_not_allowed")
    problem(await client.get("/v1/job-types/pause/pause"), 405, "method_not_allowed")
    problem(await client.post("/v1/job-types/a/b/pause"), 404, "not_found")


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_pausing_or_resuming_a_type_that_nobody_has_heard_of_makes_it(
    client: httpx.AsyncClient, verb: str
) -> None:
    expected = as_read("mail", paused=verb == "pause")
    assert (await client.post(f"/v1/job-types/mail/{verb}")).json() == expected
    assert (await client.get("/v1/job-types")).json()["data"] == [expected]


@pytest.mark.parametrize("request_", ["POST /v1/job-types/mail/resume", "PUT /v1/job-types/mail"])
async def test_whoever_waits_for_work_hears_that_a_type_goes_on(
    api: Api, client: httpx.AsyncClient, storage: Storage, request_: str
) -> None:
    method, path = request_.split()
    await client.post("/v1/job-types/mail/pause")
    told: list[Any] = []

    async def publish(hint: Any) -> None:
        told.append((hint.kind, hint.names))

    api.service.storage.notifier.publish = publish  # type: ignore[method-assign]
    await client.request(method, path, json={})
    await api.service.settle()
    assert told == [("ready", ("mail",))]


async def test_pages_of_types_join_by_name(client: httpx.AsyncClient) -> None:
    names = ["b", "a/b", "B", "a", "z" * 200]
    for name in names:
        await client.put(f"/v1/job-types/{name.replace('/', '%2F')}", json={})
    found, cursor = [], ""
    while cursor is not None:
        response = await client.get("/v1/job-types", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        found += [one["job_type"] for one in response.json()["data"]]
        cursor = response.json()["next_cursor"]
    assert found == sorted(names)
    problem(await client.get("/v1/job-types?cursor=AAAA"), 422, "invalid_cursor")


@shared
@pytest.mark.parametrize("name", ["%00", "a%20b", "%ff", "a" * 201, "ü"])
@pytest.mark.parametrize("request_", ["GET ", "PUT ", "POST /pause", "POST /resume"])
async def test_what_can_be_no_type_is_invalid(bystander: httpx.AsyncClient, name: str, request_: str) -> None:
    method, _, verb = request_.partition(" ")
    response = await bystander.request(method, f"/v1/job-types/{name}{verb}", json={} if method == "PUT" else None)
    assert places(problem(response, 422, "validation_failed")) == [["path", "job_type"]]


async def test_types_are_the_same_in_every_process(storage: Storage) -> None:
    async with started(storage) as one, started(storage) as other, client_of(one) as here, client_of(other) as there:
        await enqueued(there, job_type="mail")
        await here.put("/v1/job-types/mail", json={"max_attempts": 9})
        job = await read(there, await enqueued(there, job_type="mail"))
        assert job["max_attempts"] == 9
