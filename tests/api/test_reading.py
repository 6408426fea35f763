"""Jobs as read, one and in lists, and what happened to them (contract 1, 1.2)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from app.main import Api
from app.schemas.jobs import EventOut, JobOut
from dataqueue.clock import ManualClock
from dataqueue.domain.job import Failure, Json
from dataqueue.storage.port import Storage
from tests.api.support import NOBODYS_ID, enqueued, places, problem, read, scope_of, shared
from tests.storage.given import claim, given_claimed_job

INSTANT: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"


async def test_a_job_as_read_has_the_documented_fields_in_the_contracts_order(client: httpx.AsyncClient) -> None:
    job = await read(client, await enqueued(client))
    assert list(job) == list(JobOut.model_fields)
    JobOut.model_validate_json(json.dumps(job))


async def test_every_instant_has_six_digits_and_a_z(client: httpx.AsyncClient, storage: Storage) -> None:
    claimed = await given_claimed_job(storage)
    job = await read(client, str(claimed.id))
    instants = {name: job[name] for name in job if name.endswith("_at") and job[name] is not None}
    assert {"run_at", "created_at", "updated_at", "started_at", "locked_at", "lease_expires_at"} <= set(instants)
    assert instants["created_at"] == "2030-01-01T00:00:00.000000Z"
    for instant in instants.values():
        assert len(instant) == 27
        assert instant.endswith("Z")


async def test_an_output_and_the_errors_are_read_as_they_were_reported(
    client: httpx.AsyncClient, storage: Storage, clock: ManualClock
) -> None:
    jobs, claimed = storage.jobs("default"), await given_claimed_job(storage)
    await jobs.fail([claimed.lease], failures=[Failure("no luck", "ValueError", retry_after=timedelta(0))])
    clock.advance(timedelta(seconds=1))
    await storage.upkeep.stage(limit=10)
    [again] = await claim(jobs, claimed.job_type)
    await jobs.complete([again.lease], outputs=[Json('{"big":12345678901234567890123,"one":1.0}')])
    response = await client.get(f"/v1/jobs/{claimed.id}")
    assert '"output":{"big":12345678901234567890123,"one":1.0}' in response.text
    job = response.json()
    assert (job["status"], job["attempts"], job["completed_at"]) == ("completed", 2, "2030-01-01T00:00:01.000000Z")
    [entry] = job["error_history"]
    assert (entry["message"], entry["type"], entry["attempt"]) == ("no luck", "ValueError", 1)
    assert entry["at"].startswith("2030-01-01T00:00:00")


@shared
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_job_that_is_not_there_is_not_found(bystander: httpx.AsyncClient, method: str) -> None:
    response = await bystander.request(method, f"/v1/jobs/{NOBODYS_ID}")
    assert response.status_code == 404
    if method == "GET":
        problem(response, 404, "not_found")


@shared
@pytest.mark.parametrize("id", ["Leak-Me", "1", "01936b2e7c4a7d3f9b1c5f0e8a2d4c61", NOBODYS_ID + "0", "%00", "%ff"])
@pytest.mark.parametrize(
    "path", ["/v1/jobs/{}", "/v1/jobs/{}/events", "POST /v1/jobs/{}/cancel", "POST /v1/jobs/{}/retry"]
)
async def test_an_id_that_is_none_is_invalid(bystander: httpx.AsyncClient, id: str, path: str) -> None:
    method, _, target = path.rpartition(" ")
    response = await bystander.request(method or "GET", target.format(id))
    assert places(problem(response, 422, "validation_failed")) == [["path", "job_id"]]
    assert "Leak-Me" not in response.text


async def test_an_id_may_be_written_in_capitals(client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client)
    assert (await read(client, job_id.upper()))["id"] == job_id


@pytest.mark.parametrize("status", [200, 404])
async def test_a_head_is_a_get_without_its_body(api: Api, client: httpx.AsyncClient, status: int) -> None:
    path = f"/v1/jobs/{NOBODYS_ID if status == 404 else await enqueued(client)}"
    full, sent = await client.get(path), []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await api(scope_of("HEAD", path), receive, send)
    start, body = sent
    assert start["status"] == full.status_code == status
    assert body["body"] == b""
    if status == 200:
        assert dict(start["headers"])[b"content-length"] == str(len(full.content)).encode()


async def walk(client: httpx.AsyncClient, path: str, **query: Any) -> list[list[Any]]:
    """Every page of a list."""
    pages, cursor = [], None
    while True:
        response = await client.get(path, params={**query, **({"cursor": cursor} if cursor else {})})
        assert response.status_code == 200, response.text
        pages.append(response.json()["data"])
        if (cursor := response.json()["next_cursor"]) is None:
            return pages


async def test_a_list_is_newest_first_and_its_pages_join(client: httpx.AsyncClient) -> None:
    ids = [await enqueued(client) for _ in range(5)]
    pages = await walk(client, "/v1/jobs", limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [job["id"] for page in pages for job in page] == ids[::-1]


async def test_a_full_last_page_says_that_it_is_the_last(client: httpx.AsyncClient) -> None:
    for _ in range(4):
        await enqueued(client)
    assert [len(page) for page in await walk(client, "/v1/jobs", limit=2)] == [2, 2]


async def test_a_job_added_meanwhile_does_not_shift_the_pages(client: httpx.AsyncClient) -> None:
    ids = [await enqueued(client) for _ in range(4)]
    first = (await client.get("/v1/jobs", params={"limit": 2})).json()
    await enqueued(client)
    second = (await client.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [job["id"] for job in first["data"] + second["data"]] == ids[::-1]


@shared
async def test_an_empty_list_is_a_list(bystander: httpx.AsyncClient) -> None:
    assert (await bystander.get("/v1/jobs")).json() == {"data": [], "next_cursor": None}


async def test_a_list_has_fifty_jobs_unless_told(client: httpx.AsyncClient) -> None:
    await client.post("/v1/jobs/batch", json={"jobs": [{"job_type": "report"}] * 51})
    page = (await client.get("/v1/jobs")).json()
    assert len(page["data"]) == 50
    assert page["next_cursor"] is not None


async def test_values_of_one_filter_are_alternatives_and_filters_narrow_each_other(client: httpx.AsyncClient) -> None:
    a, b, c = [await enqueued(client, job_type=job_type) for job_type in ("a", "b", "c")]
    await client.post(f"/v1/jobs/{a}/cancel")
    for query, expected in (
        ("job_type=a&job_type=b", [b, a]),
        ("status=cancelled", [a]),
        ("status=cancelled&status=pending", [c, b, a]),
        ("status=pending&job_type=a&job_type=c", [c]),
        ("status=completed", []),
    ):
        page = (await client.get(f"/v1/jobs?{query}")).json()
        assert [job["id"] for job in page["data"]] == expected, query


@pytest.mark.parametrize(
    "query", ["limit=1&status=pending", "limit=1&job_type=report", "limit=1&status=pending&job_type=report"]
)
async def test_a_cursor_is_good_for_its_own_filters_only(client: httpx.AsyncClient, query: str) -> None:
    for _ in range(3):
        await enqueued(client)
    cursor = (await client.get(f"/v1/jobs?{query}")).json()["next_cursor"]
    assert (await client.get(f"/v1/jobs?{query}&cursor={cursor}")).status_code == 200
    assert (await client.get(f"/v1/jobs?{query.replace('limit=1', 'limit=2')}&cursor={cursor}")).status_code == 200
    for other in ("", "status=failed&", "job_type=other&", "status=pending&status=failed&", "job_type=pending&"):
        found = problem(await client.get(f"/v1/jobs?{other}cursor={cursor}"), 422, "invalid_cursor")
        assert places(found) == [["query", "cursor"]]


async def test_filters_in_another_order_are_the_same_filters(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await enqueued(client)
    cursor = (await client.get("/v1/jobs?limit=1&status=pending&status=failed")).json()["next_cursor"]
    assert (await client.get(f"/v1/jobs?status=failed&status=pending&status=failed&cursor={cursor}")).status_code == 200


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "Leak-Me", "%00", "é", "A" * 24, "=", "A" * 200, "AAAAAAAAAAE="])
async def test_a_forged_cursor_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    job_id = await enqueued(client)
    for path in ("/v1/jobs", f"/v1/jobs/{job_id}/events"):
        response = await client.get(f"{path}?cursor={cursor}")
        problem(response, 422, "invalid_cursor")
        assert "Leak-Me" not in response.text


async def test_a_cursor_with_any_character_changed_is_refused(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await enqueued(client)
    cursor = (await client.get("/v1/jobs?limit=1")).json()["next_cursor"]
    for index, character in enumerate(cursor):
        forged = cursor[:index] + ("B" if character == "A" else "A") + cursor[index + 1 :]
        problem(await client.get("/v1/jobs", params={"cursor": forged}), 422, "invalid_cursor")


@shared
@pytest.mark.parametrize("value", ["0", "1001", "abc", "-1", "1.0", "1_0", "+5", " 5", "", "\u0665", "9" * 400])
async def test_a_limit_is_an_integer_from_1_to_1000(bystander: httpx.AsyncClient, value: str) -> None:
    found = problem(await bystander.get("/v1/jobs", params={"limit": value}), 422, "validation_failed")
    assert places(found) == [["query", "limit"]]


@shared
@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("color=red", ["query", "color"]),
        ("status=ready", ["query", "status", 0]),
        ("status=", ["query", "status", 0]),
        ("job_type=a%20b", ["query", "job_type", 0]),
        ("job_type=ok&job_type=", ["query", "job_type", 1]),
        ("limit=5&limit=6", ["query", "limit"]),
        ("seq=1", ["query", "seq"]),
        ("job_type=%ff", ["query"]),
    ],
)
async def test_a_parameter_that_is_unknown_or_out_of_range_is_refused(
    bystander: httpx.AsyncClient, query: str, place: list[str | int]
) -> None:
    assert places(problem(await bystander.get(f"/v1/jobs?{query}"), 422, "validation_failed")) == [place]


@shared
async def test_a_thousand_and_one_parameters_are_too_many(bystander: httpx.AsyncClient) -> None:
    problem(await bystander.get("/v1/jobs?" + "&".join(["status=failed"] * 1001)), 422, "validation_failed")


@shared
@pytest.mark.parametrize("query", ["job_type=a%00b"])
async def test_nul_in_a_query_is_refused(bystander: httpx.AsyncClient, query: str) -> None:
    assert (await bystander.get(f"/v1/jobs?{query}")).status_code == 422


@shared
@pytest.mark.parametrize("path", [f"/v1/jobs/{NOBODYS_ID}", f"/v1/jobs/{NOBODYS_ID}/events", "/healthz", "/readyz"])
async def test_no_route_ignores_a_parameter(bystander: httpx.AsyncClient, path: str) -> None:
    assert places(problem(await bystander.get(f"{path}?color=red"), 422, "validation_failed")) == [["query", "color"]]


async def test_events_are_oldest_first_with_their_own_fields_beside(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    claimed = await given_claimed_job(storage, tags=("t",))
    await storage.jobs("default").complete([claimed.lease], outputs=[None])
    page = (await client.get(f"/v1/jobs/{claimed.id}/events")).json()
    assert page["next_cursor"] is None
    added, processing, completed = page["data"]
    assert [event["event"] for event in page["data"]] == ["job:added", "job:processing", "job:completed"]
    for event in page["data"]:
        assert list(event)[:6] == list(EventOut.model_fields)
        assert (event["job_id"], event["job_type"], event["tags"]) == (str(claimed.id), claimed.job_type, ["t"])
        assert event["at"] == "2030-01-01T00:00:00.000000Z"
    assert set(added) == set(EventOut.model_fields)
    assert (processing["attempt"], processing["worker_id"]) == (1, "ann")
    assert completed["attempt"] == 1
    assert len({event["id"] for event in page["data"]}) == 3


async def test_pages_of_events_join(client: httpx.AsyncClient, storage: Storage) -> None:
    claimed = await given_claimed_job(storage)
    await storage.jobs("default").complete([claimed.lease], outputs=[None])
    pages = await walk(client, f"/v1/jobs/{claimed.id}/events", limit=2)
    assert [[event["event"] for event in page] for page in pages] == [
        ["job:added", "job:processing"],
        ["job:completed"],
    ]


async def test_a_cursor_of_one_jobs_events_is_not_anothers(client: httpx.AsyncClient) -> None:
    one, other = await enqueued(client), await enqueued(client)
    await client.post(f"/v1/jobs/{one}/cancel")
    cursor = (await client.get(f"/v1/jobs/{one}/events?limit=1")).json()["next_cursor"]
    problem(await client.get(f"/v1/jobs/{other}/events?cursor={cursor}"), 422, "invalid_cursor")
    problem(await client.get(f"/v1/jobs?cursor={cursor}"), 422, "invalid_cursor")


@shared
async def test_the_events_of_no_job_are_not_found(bystander: httpx.AsyncClient) -> None:
    problem(await bystander.get(f"/v1/jobs/{NOBODYS_ID}/events"), 404, "not_found")
