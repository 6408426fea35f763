"""Paths, methods, request ids: what holds for every route (details B5, B6)."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import httpx
import pytest
from structlog.testing import capture_logs

from app.api import not_built
from app.errors import problem_of
from app.main import Api
from dataqueue.errors import StorageRefused, StorageUnavailable
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.api.support import NOBODYS_ID, client_of, enqueued, eventually, problem, shared, started

ANSWERS: Final = [
    ("GET", "/healthz", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/docs", 200),
    ("GET", "/v1/jobs", 200),
    ("POST", "/v1/jobs", 422),
    ("POST", "/v1/jobs/import", 200),
    ("GET", f"/v1/jobs/{NOBODYS_ID}", 404),
    ("GET", "/nowhere", 404),
    ("DELETE", "/healthz", 405),
    ("GET", "/v1/crons", 422),
    ("OPTIONS", "/v1/jobs", 204),
    ("HEAD", "/v1/jobs", 200),
]


@shared
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_every_answer_carries_a_request_id(
    bystander: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    first, second = await bystander.request(method, path), await bystander.request(method, path)
    assert first.status_code == status
    assert re.fullmatch("[0-9a-f]{32}", first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@shared
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
@pytest.mark.parametrize("id", ["x", "a!~" * 42 + "ab"])
async def test_the_callers_request_id_is_taken_up(
    bystander: httpx.AsyncClient, method: str, path: str, status: int, id: str
) -> None:
    response = await bystander.request(method, path, headers={"x-request-id": id})
    assert response.headers.get_list("x-request-id") == [id]
    if response.headers.get("content-type") == "application/problem+json" and method != "HEAD":
        assert response.json()["request_id"] == id


@shared
@pytest.mark.parametrize("id", [b"", b"a" * 129, b"a b", b"a\tb", "é".encode(), b"\x7f"])
async def test_a_request_id_that_is_none_is_replaced(bystander: httpx.AsyncClient, id: bytes) -> None:
    response = await bystander.get("/healthz", headers={b"x-request-id": id})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@shared
@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v2/jobs", "/v1/jobs/", "/healthz/", "/hunter2", "/redoc"])
async def test_an_unknown_path_is_not_found_and_redirects_nowhere(bystander: httpx.AsyncClient, path: str) -> None:
    response = await bystander.get(path)
    problem(response, 404, "not_found")
    assert "hunter2" not in response.text


@shared
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("PUT", f"/v1/jobs/{NOBODYS_ID}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", f"/v1/jobs/{NOBODYS_ID}/cancel", "OPTIONS, POST"),
        ("POST", f"/v1/jobs/{NOBODYS_ID}/events", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("PUT", "/v1/stats", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/job-types/a%2Fb", "GET, HEAD, OPTIONS, PUT"),
        ("GET", "/v1/job-types/a%2Fb/pause", "OPTIONS, POST"),
        ("GET", "/v1/jobs/batch", "OPTIONS, POST"),
        ("PATCH", "/v1/jobs/import", "OPTIONS, POST"),
        ("BREW", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    bystander: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await bystander.request(method, path)
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed
    options = await bystander.options(path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allowed, b"")


@shared
async def test_options_of_nowhere_is_not_found(bystander: httpx.AsyncClient) -> None:
    problem(await bystander.options("/nowhere"), 404, "not_found")


NOT_BUILT: Final = [
    (method, re.sub(r"\{job_id\}", NOBODYS_ID, re.sub(r"\{rest:path\}", "a%2Fb/pause", path)))
    for path, methods in not_built._PATHS.items()
    for method in methods.split()
]


@shared
@pytest.mark.parametrize(("method", "path"), NOT_BUILT)
async def test_an_operation_to_come_is_not_available(bystander: httpx.AsyncClient, method: str, path: str) -> None:
    response = await bystander.request(
        method, f"{path}?any=thing", content=b"not json", headers={"content-type": "text/x"}
    )
    assert "errors" not in problem(response, 422, "not_available")


PROMISED: Final = """
    GET /v1/jobs/{id}/why
    POST /v1/crons, GET /v1/crons, GET /v1/crons/a, PATCH /v1/crons/a, DELETE /v1/crons/a, POST /v1/crons/a/pause
    POST /v1/crons/a/resume, POST /v1/crons/a/trigger, GET /v1/crons/a/next, POST /v1/crons/enqueue-due
    POST /v1/work/claim, POST /v1/work/heartbeat, POST /v1/work/report
    POST /v1/webhooks, GET /v1/webhooks, GET /v1/webhooks/{id}, PATCH /v1/webhooks/{id}, DELETE /v1/webhooks/{id}
    POST /v1/webhooks/{id}/rotate-secret, POST /v1/webhooks/{id}/ping
    GET /dashboard
    POST /v1/keys, GET /v1/keys, DELETE /v1/keys/{id}
    POST /v1/namespaces, GET /v1/namespaces, DELETE /v1/namespaces/a
"""


@shared
@pytest.mark.parametrize("operation", [part.strip() for part in re.split("[,\n]", PROMISED) if part.strip()])
async def test_every_operation_of_the_contract_is_known(bystander: httpx.AsyncClient, operation: str) -> None:
    method, path = operation.split()
    problem(await bystander.request(method, path.replace("{id}", NOBODYS_ID)), 422, "not_available")


async def test_what_is_not_built_is_not_documented(api: Api) -> None:
    paths = api.openapi()["paths"]
    assert not any(path in paths for path in not_built._PATHS)


async def test_a_fault_of_ours_is_logged_once_and_tells_the_caller_nothing(
    api: Api, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(namespace: str) -> None:
        raise RuntimeError("secret " + "innards")

    monkeypatch.setattr(api.service, "enqueuer", broken)
    with capture_logs() as logs:
        response = await client.post("/v1/jobs", json={"job_type": "report", "payload": "private"})
    found = problem(response, 500, "internal_error")
    assert "innards" not in response.text
    [entry] = logs
    assert entry["request_id"] == found["request_id"]
    assert "test_routing.py" in entry["exception"]
    assert entry["exception"].endswith("RuntimeError")
    # The message stays out: it may repeat what somebody sent.
    assert "secret innards" not in str(entry)
    assert "private" not in str(entry)


def test_the_storages_own_words_stay_here() -> None:
    for error in (StorageUnavailable("no answer from db.internal"), StorageRefused("for user db.internal")):
        assert b"db.internal" not in problem_of(error).body(request_id="r")


@shared
async def test_an_expected_refusal_is_not_logged(bystander: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await bystander.get("/nowhere")
        await bystander.post("/v1/jobs", json={})
    assert logs == []


async def test_a_storage_that_is_away_is_said_so_within_two_seconds(nowhere: str) -> None:
    storage = open_storage(nowhere)
    async with started(storage, open_access=True) as app, client_of(app) as client:
        async with asyncio.timeout(2):
            response = await client.post("/v1/jobs", json={"job_type": "report"})
        problem(response, 503, "storage_unavailable")
        assert response.headers["retry-after"] == "1"
        assert "hunter2" not in response.text
        assert "127.0.0.1" not in response.text
        for path in (f"/v1/jobs/{NOBODYS_ID}", "/v1/jobs", "/readyz"):
            async with asyncio.timeout(2):
                problem(await client.get(path), 503, "storage_unavailable")
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        problem(await client.post("/v1/jobs", json={}), 422, "validation_failed")
    await storage.close()


@shared
async def test_a_service_is_ready_when_its_storage_is(bystander: httpx.AsyncClient) -> None:
    response = await bystander.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "warnings": []})


async def test_a_service_says_what_may_lose_jobs_and_serves_all_the_same(
    client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        return ["Set `appendonly yes`."]

    monkeypatch.setattr(storage, "check", check)
    response = await client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "warnings": ["Set `appendonly yes`."]})


async def test_a_caller_that_leaves_does_not_take_its_job_along(api: Api, client: httpx.AsyncClient) -> None:
    request = asyncio.create_task(client.post("/v1/jobs", json={"job_type": "report", "idempotency_key": "k"}))
    await eventually("its job is being written", lambda: bool(api.service._enqueuers))
    request.cancel()
    await api.service.settle()
    again = await client.post("/v1/jobs", json={"job_type": "report", "idempotency_key": "k"})
    assert again.status_code in (200, 201)
    assert len((await client.get("/v1/jobs")).json()["data"]) == 1


async def test_jobs_are_seen_by_every_process_of_the_service(storage: Storage) -> None:
    async with started(storage) as one, started(storage) as other, client_of(one) as here, client_of(other) as there:
        job_id = await enqueued(here)
        assert (await there.get(f"/v1/jobs/{job_id}")).json()["id"] == job_id
