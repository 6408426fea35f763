"""POST /v1/jobs: what is accepted, and how it reads back."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from dataqueue.clock import ManualClock
from dataqueue.ids import new_id
from tests.api.streams import imported, lines_of
from tests.api.support import JSON, enqueued, eventually, places, problem, read, stored


async def test_a_job_needs_only_its_type(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/jobs", json={"job_type": "report"})
    assert response.status_code == 201
    answer = response.json()
    assert answer == {"id": answer["id"], "status": "pending", "created": True}
    assert UUID(answer["id"]).version == 7
    assert response.headers["location"] == f"/v1/jobs/{answer['id']}"
    job = await read(client, answer["id"])
    assert job["payload"] == {}
    assert (job["priority"], job["max_attempts"], job["tags"]) == (0, 3, [])
    assert (job["retry_delay"], job["retry_backoff"], job["retry_delay_max"]) == (None, None, None)


async def test_the_location_leads_to_the_job(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/jobs", json={"job_type": "report"})
    assert (await client.get(response.headers["location"])).json()["id"] == response.json()["id"]


@pytest.mark.parametrize(
    ("field", "sent", "expected"),
    [
        ("job_type", "a.b_c:d/e@f-g", "a.b_c:d/e@f-g"),
        ("job_type", "x" * 200, "x" * 200),
        ("priority", 32767, 32767),
        ("priority", -32768, -32768),
        ("max_attempts", 1, 1),
        ("max_attempts", 1000, 1000),
        ("timeout_ms", 1, 1),
        ("timeout_ms", 3_153_600_000_000, 3_153_600_000_000),
        ("timeout_ms", None, None),
        ("tags", ["b", "a", "b"], ["b", "a"]),
        ("tags", ['ü, {}"\\ x' * 20], ['ü, {}"\\ x' * 20]),
        ("tags", [f"t{n}" for n in range(50)], [f"t{n}" for n in range(50)]),
        ("idempotency_key", "k" * 255, "k" * 255),
        ("idempotency_key", "схема ✓", "схема ✓"),
        ("retry_delay", 0, 0),
        ("retry_delay", 1.5, 1.5),
        ("retry_delay", "1h30m", 5400),
        ("retry_delay", {"minutes": 2, "seconds": 1}, 121),
        ("retry_delay", {"years": 100}, 100 * 365 * 86_400),
        ("retry_backoff", False, False),
        ("retry_delay_max", "2w", 14 * 86_400),
        ("dead_letter_job_type", "dead", "dead"),
        ("run_at", "2031-01-01T00:00:00Z", "2031-01-01T00:00:00.000000Z"),
        ("run_at", "2031-01-01T02:00:00.5+02:00", "2031-01-01T00:00:00.500000Z"),
        ("run_at", "2000-01-01T00:00:00z", "2000-01-01T00:00:00.000000Z"),
        ("run_at", "2200-12-31T23:59:59.999999Z", "2200-12-31T23:59:59.999999Z"),
        ("run_at", "2031-01-01t00:00:00.123456789Z", "2031-01-01T00:00:00.123456Z"),
        ("group", None, None),
        ("depends_on", None, None),
        ("force_kill_on_timeout", False, False),
        ("force_kill_on_timeout", None, False),
    ],
)
async def test_a_field_reads_back_as_given(client: httpx.AsyncClient, field: str, sent: Any, expected: Any) -> None:
    job = await read(client, await enqueued(client, **{field: sent}))
    assert job[field] == expected


async def test_a_job_is_killed_at_its_timeout_and_at_no_other_time(client: httpx.AsyncClient) -> None:
    job = await read(client, await enqueued(client, force_kill_on_timeout=True, timeout_ms=1000))
    assert (job["force_kill_on_timeout"], job["timeout_ms"]) == (True, 1000)
    for timeout in ({}, {"timeout_ms": None}):
        asked = {"job_type": "report", "force_kill_on_timeout": True, **timeout}
        at = ["body", "force_kill_on_timeout"]
        assert places(problem(await client.post("/v1/jobs", json=asked), 422, "validation_failed")) == [at]
        found = problem(await client.post("/v1/jobs/batch", json={"jobs": [asked]}), 422, "validation_failed")
        assert places(found) == [["body", "jobs", 0, "force_kill_on_timeout"]]
        [line, _] = await imported(client, lines_of(asked))
        assert line["error"]["detail"] == "body.force_kill_on_timeout: needs timeout_ms"


@pytest.mark.parametrize(
    "payload",
    [
        "null", "true", "0", "-0.0", "1.0", '""', "[]", "{}", "[[],{}]", "9007199254740993", "9" * 400,
        "-" + "9" * 400, '"é\U0001f600 \\u2028"', '{"":0,"a b":[1,2.5,null]}', '"NaN Infinity -Infinity"',
        '"\\\\u0000"', '["\\"","\\\\"]',
        "[" * 64 + "]" * 64, '"' + "[{" * 100 + '"', "1e308", "0.1",
    ],
)  # fmt: skip
async def test_a_payload_comes_back_equal(client: httpx.AsyncClient, payload: str) -> None:
    body = b'{"job_type":"report","payload":' + payload.encode() + b"}"
    response = await client.post("/v1/jobs", content=body, headers=JSON)
    assert response.status_code == 201, response.text
    text = (await client.get(response.headers["location"])).text
    sent, got = json.loads(payload), json.loads(text)["payload"]
    assert (got, type(got)) == (sent, type(sent))
    assert repr(got) == repr(sent)


async def test_of_two_equal_keys_in_an_object_the_last_counts(client: httpx.AsyncClient) -> None:
    body = b'{"job_type":5,"payload":{"a":1,"a":2},"job_type":"report"}'
    response = await client.post("/v1/jobs", content=body, headers=JSON)
    assert (await client.get(response.headers["location"])).json()["payload"] == {"a": 2}


async def test_a_delay_counts_from_the_storages_clock(client: httpx.AsyncClient, clock: ManualClock) -> None:
    job = await read(client, await enqueued(client, delay="10m"))
    assert job["run_at"] == "2030-01-01T00:10:00.000000Z"
    assert job["pending_reason"] == "scheduled"


async def test_a_run_at_in_the_past_is_kept_and_ready(client: httpx.AsyncClient) -> None:
    job = await read(client, await enqueued(client, run_at="2029-01-01T00:00:00Z"))
    assert job["run_at"] == "2029-01-01T00:00:00.000000Z"
    assert job["pending_reason"] is None


async def test_a_caller_may_choose_the_id(client: httpx.AsyncClient) -> None:
    own = str(new_id())
    assert await enqueued(client, id=own) == own
    found = problem(await client.post("/v1/jobs", json={"job_type": "report", "id": own}), 409, "already_exists")
    assert "errors" not in found
    assert await stored(client) == 1


async def test_run_at_and_delay_exclude_each_other(client: httpx.AsyncClient) -> None:
    body = {"job_type": "report", "run_at": "2031-01-01T00:00:00Z", "delay": 5}
    found = problem(await client.post("/v1/jobs", json=body), 422, "validation_failed")
    assert places(found) == [["body", "delay"]]
    assert await stored(client) == 0


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.x+json", None])
async def test_json_by_any_name_or_none_is_taken(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = await client.post("/v1/jobs", content=b'{"job_type":"report"}', headers=headers)
    assert response.status_code == 201


async def test_a_body_may_arrive_in_pieces(client: httpx.AsyncClient) -> None:
    async def pieces() -> Any:
        for byte in b'{"job_type":"report","payload":"in pieces"}':
            yield bytes([byte])

    response = await client.post("/v1/jobs", content=pieces(), headers=JSON)
    assert (await client.get(response.headers["location"])).json()["payload"] == "in pieces"


async def test_a_job_of_the_future_is_staged_by_this_process(client: httpx.AsyncClient, clock: ManualClock) -> None:
    job_id = await enqueued(client, delay="0.05s")
    clock.advance(timedelta(seconds=1))

    async def ready() -> bool:
        return (await read(client, job_id))["pending_reason"] is None

    # Sooner than the five seconds that it sleeps when it knows of nothing.
    await eventually("the job is ready", ready, seconds=3)
