"""POST /v1/jobs/batch: all of them or none (details C16)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.api.support import JSON, client_of, places, problem, read, started, stored


async def test_a_thousand_jobs_are_stored_in_order(client: httpx.AsyncClient) -> None:
    batch = {"jobs": [{"job_type": "report", "payload": n} for n in range(1000)]}
    response = await client.post("/v1/jobs/batch", json=batch)
    assert response.status_code == 201
    answers = response.json()["jobs"]
    assert all(answer["created"] and answer["status"] == "pending" for answer in answers)
    newest_first = (await client.get("/v1/jobs", params={"limit": 1000})).json()["data"]
    assert [job["payload"] for job in reversed(newest_first)] == list(range(1000))
    assert [job["id"] for job in reversed(newest_first)] == [answer["id"] for answer in answers]


async def test_an_empty_batch_is_answered_in_kind(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/jobs/batch", json={"jobs": []})
    assert (response.status_code, response.json()) == (201, {"jobs": []})


async def test_more_than_a_thousand_are_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/jobs/batch", json={"jobs": [{"job_type": "report"}] * 1001})
    found = problem(response, 422, "validation_failed")
    assert places(found) == [["body", "jobs"]]
    assert "1000" in found["errors"][0]["msg"]
    assert await stored(client) == 0


async def test_a_batch_of_repeats_is_still_a_201(client: httpx.AsyncClient) -> None:
    batch = {"jobs": [{"job_type": "report", "idempotency_key": "a"}, {"job_type": "report", "idempotency_key": "a"}]}
    first = (await client.post("/v1/jobs/batch", json=batch)).json()["jobs"]
    again = await client.post("/v1/jobs/batch", json=batch)
    assert [answer["created"] for answer in first] == [True, False]
    assert again.status_code == 201
    assert [answer["created"] for answer in again.json()["jobs"]] == [False, False]
    assert {answer["id"] for answer in first} == {answer["id"] for answer in again.json()["jobs"]}
    assert await stored(client) == 1


@pytest.mark.parametrize(
    ("bad", "code", "place"),
    [
        ({}, "validation_failed", ["job_type"]),
        ({"job_type": "not a name"}, "validation_failed", ["job_type"]),
        ({"job_type": "x", "priority": "5"}, "validation_failed", ["priority"]),
        ({"job_type": "x", "payload": "\0"}, "invalid_json", ["payload"]),
        ({"job_type": "x", "tags": ["ok", ""]}, "validation_failed", ["tags", 1]),
        ({"job_type": "x", "ref": "a"}, "not_available", ["ref"]),
        ({"job_type": "x", "run_at": "2031-01-01T00:00:00Z", "delay": 1}, "validation_failed", ["delay"]),
        (7, "validation_failed", []),
    ],
)
async def test_one_bad_job_is_named_by_its_index_and_none_is_stored(
    client: httpx.AsyncClient, bad: Any, code: str, place: list[str | int]
) -> None:
    batch = {"jobs": [{"job_type": "report"}, {"job_type": "report"}, bad, {"job_type": "report"}]}
    found = problem(await client.post("/v1/jobs/batch", json=batch), 422, code)
    assert places(found) == [["body", "jobs", 2, *place]]
    assert await stored(client) == 0


async def test_a_taken_id_refuses_the_whole_batch(client: httpx.AsyncClient) -> None:
    own = str(new_id())
    await client.post("/v1/jobs", json={"job_type": "report", "id": own})
    batch = {"jobs": [{"job_type": "report"}, {"job_type": "report", "id": own}]}
    problem(await client.post("/v1/jobs/batch", json=batch), 409, "already_exists")
    assert await stored(client) == 1


async def test_a_key_for_a_whole_batch_is_refused_rather_than_ignored(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/jobs/batch", json={"jobs": []}, headers={"idempotency-key": "k"})
    assert places(problem(response, 422, "validation_failed")) == [["header", "idempotency-key"]]


async def test_a_batch_has_a_limit_of_its_own(storage: Storage) -> None:
    async with started(storage, max_body_bytes=1024, max_batch_bytes=4096) as app, client_of(app) as client:
        jobs = [{"job_type": "report", "payload": "x" * 600} for _ in range(3)]
        assert (await client.post("/v1/jobs/batch", json={"jobs": jobs})).status_code == 201
        found = problem(await client.post("/v1/jobs/batch", json={"jobs": jobs * 3}), 413, "body_too_large")
        assert "4096" in found["detail"]
        assert await stored(client) == 3


async def test_a_payload_of_a_batch_that_is_too_large_is_named(storage: Storage) -> None:
    async with started(storage, max_payload_bytes=64) as app, client_of(app) as client:
        batch = {"jobs": [{"job_type": "report"}, {"job_type": "report", "payload": "x" * 63}]}
        found = problem(await client.post("/v1/jobs/batch", json=batch), 413, "payload_too_large")
        assert "body.jobs.1.payload" in found["detail"]
        assert await stored(client) == 0


async def test_the_first_bad_job_ends_it_however_many_follow(client: httpx.AsyncClient) -> None:
    body = b'{"jobs":[' + b",".join([b"{}"] * 900) + b"]}"
    found = problem(await client.post("/v1/jobs/batch", content=body, headers=JSON), 422, "validation_failed")
    assert places(found) == [["body", "jobs", 0, "job_type"]]


async def test_jobs_of_a_batch_have_the_fields_of_a_job(client: httpx.AsyncClient) -> None:
    job = {"job_type": "report", "tags": ["a"], "priority": 7, "delay": "1h", "retry_delay": 5}
    [answer] = (await client.post("/v1/jobs/batch", json={"jobs": [job]})).json()["jobs"]
    kept = await read(client, answer["id"])
    assert (kept["tags"], kept["priority"], kept["pending_reason"], kept["retry_delay"]) == (["a"], 7, "scheduled", 5)
