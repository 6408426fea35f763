"""One key, one job (contract 1.1, details C9 and C10)."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from dataqueue.ids import new_id
from tests.api.support import enqueued, places, problem, stored


async def test_fifty_equal_requests_at_once_make_one_job(client: httpx.AsyncClient) -> None:
    body = {"job_type": "report", "idempotency_key": "once"}
    responses = await asyncio.gather(*(client.post("/v1/jobs", json=body) for _ in range(50)))
    assert Counter(response.status_code for response in responses) == {201: 1, 200: 49}
    assert Counter(response.json()["created"] for response in responses) == {True: 1, False: 49}
    assert len({response.json()["id"] for response in responses}) == 1
    assert len({response.headers["location"] for response in responses}) == 1
    assert await stored(client) == 1


@pytest.mark.parametrize("key", ["plain", "схема ✓", "k" * 255])
async def test_a_header_is_the_same_as_the_field(client: httpx.AsyncClient, key: str) -> None:
    first = await client.post("/v1/jobs", json={"job_type": "report", "idempotency_key": key})
    again = await client.post("/v1/jobs", json={"job_type": "report"}, headers={b"idempotency-key": key.encode()})
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert again.json()["id"] == first.json()["id"]


async def test_header_and_field_may_agree(client: httpx.AsyncClient) -> None:
    body = {"job_type": "report", "idempotency_key": "same"}
    assert (await client.post("/v1/jobs", json=body, headers={"idempotency-key": "same"})).status_code == 201


async def test_header_and_field_must_not_differ(client: httpx.AsyncClient) -> None:
    body = {"job_type": "report", "idempotency_key": "one"}
    found = problem(
        await client.post("/v1/jobs", json=body, headers={"idempotency-key": "two"}), 422, "validation_failed"
    )
    assert places(found) == [["header", "idempotency-key"]]
    assert await stored(client) == 0


@pytest.mark.parametrize("headers", [[("idempotency-key", "a"), ("idempotency-key", "b")], [("idempotency-key", "")]])
async def test_a_header_that_says_nothing_certain_is_refused(
    client: httpx.AsyncClient, headers: list[tuple[str, str]]
) -> None:
    response = await client.post("/v1/jobs", json={"job_type": "report"}, headers=headers)
    assert places(problem(response, 422, "validation_failed")) == [["header", "idempotency-key"]]
    assert await stored(client) == 0


async def test_a_repeat_tells_the_status_the_job_has_now(client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client, idempotency_key="k")
    await client.post(f"/v1/jobs/{job_id}/cancel")
    again = await client.post("/v1/jobs", json={"job_type": "report", "idempotency_key": "k"})
    assert again.json() == {"id": job_id, "status": "cancelled", "created": False}


async def test_a_taken_id_with_the_same_key_is_a_repeat(client: httpx.AsyncClient) -> None:
    body = {"job_type": "report", "id": str(new_id()), "idempotency_key": "k"}
    assert (await client.post("/v1/jobs", json=body)).status_code == 201
    assert (await client.post("/v1/jobs", json=body)).status_code == 200
