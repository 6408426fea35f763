"""Pages of other origins: those of the settings may call and read, and to all others nothing has changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest

from app.edge import Edge
from app.main import Api, create_app
from dataqueue.domain.keys import Scope
from dataqueue.settings import Settings
from dataqueue.storage.port import Storage
from tests.api.support import NOBODYS_ID, client_of, given_key, problem, scope_of, started, stored

OURS: Final = "https://app.example.com"
OURS_TOO: Final = "http://127.0.0.1:8080"
OTHERS: Final = ["https://evil.example", "http://app.example.com", "https://app.example.com.evil.example", "null", ""]
ASKED: Final = "authorization, content-type, idempotency-key, last-event-id, x-request-id"
ANSWERS: Final = [
    ("GET", "/v1/jobs", 200),
    ("HEAD", "/v1/jobs", 200),
    ("OPTIONS", "/v1/jobs", 204),
    ("POST", "/v1/jobs/import", 200),
    ("POST", "/v1/events/ticket", 201),
    ("POST", "/v1/jobs", 422),
    ("GET", f"/v1/jobs/{NOBODYS_ID}", 404),
    ("GET", "/nowhere", 404),
    ("DELETE", "/healthz", 405),
    ("GET", "/openapi.json", 200),
]


@pytest.fixture
async def app(storage: Storage) -> AsyncIterator[Api]:
    async with started(storage, cors_origins=f"{OURS},{OURS_TOO}") as app:
        yield app


@pytest.fixture
async def page(app: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on this machine with a page of a configured origin."""
    async with client_of(app) as client:
        client.headers.update({"origin": OURS, "sec-fetch-site": "cross-site"})
        yield client


def of_cors(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


def asking(method: str, headers: str = "", *, origin: str = OURS) -> dict[str, str]:
    """The headers of a preflight."""
    asked = {"access-control-request-headers": headers} if headers else {}
    return {"origin": origin, "access-control-request-method": method, **asked}


@pytest.mark.parametrize("origin", [OURS, OURS_TOO])
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_a_configured_origin_may_read_every_answer(
    page: httpx.AsyncClient, method: str, path: str, status: int, origin: str
) -> None:
    response = await page.request(method, path, headers={"origin": origin})
    assert response.status_code == status
    assert of_cors(response) == {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "x-request-id, location",
    }
    assert response.headers["vary"] == "Origin"
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize("origin", OTHERS)
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_another_origin_gets_the_answer_without_leave_to_read_it(
    app: Api, method: str, path: str, status: int, origin: str
) -> None:
    async with client_of(app) as client:
        response = await client.request(method, path, headers={"origin": origin})
        assert (response.status_code, of_cors(response)) == (status, {})
        # What a cache keeps of it must not be given to a page that may read it.
        assert response.headers["vary"] == "Origin"


async def test_without_an_origin_there_is_none_to_allow(app: Api) -> None:
    async with client_of(app) as client:
        response = await client.get("/v1/jobs")
        assert (response.status_code, of_cors(response), response.headers["vary"]) == (200, {}, "Origin")


async def test_a_refusal_for_want_of_a_key_can_be_read(storage: Storage) -> None:
    await given_key(storage, Scope.READ)
    async with started(storage, cors_origins=OURS) as app, client_of(app) as client:
        response = await client.get("/v1/jobs", headers={"origin": OURS})
        problem(response, 401, "unauthenticated")
        assert response.headers["access-control-allow-origin"] == OURS


async def test_a_fault_of_ours_can_be_read(app: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(app.service.auth, "caller", fail)
    async with client_of(app) as client:
        response = await client.get("/v1/jobs", headers={"origin": OURS})
        problem(response, 500, "internal_error")
        assert response.headers["access-control-allow-origin"] == OURS


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
async def test_a_preflight_is_told_what_a_page_may_send(app: Api, method: str) -> None:
    async with client_of(app) as client:
        response = await client.options("/v1/jobs", headers=asking(method, ASKED))
        assert response.status_code == 200
        allowed = of_cors(response)
        assert allowed["access-control-allow-origin"] == OURS
        assert allowed["access-control-allow-methods"] == "GET, POST, PATCH, PUT, DELETE"
        assert set(ASKED.split(", ")) <= set(allowed["access-control-allow-headers"].lower().split(", "))
        assert "access-control-allow-credentials" not in allowed
        assert "Origin" in response.headers["vary"]


async def test_a_preflight_needs_no_key(storage: Storage) -> None:
    await given_key(storage, Scope.READ)
    async with started(storage, cors_origins=OURS) as app, client_of(app) as client:
        assert (await client.options("/v1/jobs", headers=asking("GET", "authorization"))).status_code == 200


@pytest.mark.parametrize("asked", [("TRACE", ""), ("GET", "x-other"), ("GET", "cookie")])
async def test_a_preflight_for_anything_else_is_refused(app: Api, asked: tuple[str, str]) -> None:
    async with client_of(app) as client:
        assert (await client.options("/v1/jobs", headers=asking(*asked))).status_code == 400


@pytest.mark.parametrize("asked", ["POST", "TRACE"])
async def test_a_preflight_has_a_request_id_as_every_answer_has(app: Api, asked: str) -> None:
    async with client_of(app) as client:
        response = await client.options("/v1/jobs", headers=asking(asked))
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
        response = await client.options("/v1/jobs", headers={**asking(asked), "x-request-id": "mine"})
        assert response.headers.get_list("x-request-id") == ["mine"]


@pytest.mark.parametrize("origin", OTHERS)
async def test_a_preflight_of_another_origin_is_told_nothing(app: Api, origin: str) -> None:
    async with client_of(app) as client:
        response = await client.options("/v1/jobs", headers=asking("GET", origin=origin))
        assert (response.status_code, of_cors(response)) == (204, {})


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_a_configured_origin_may_call_where_no_key_is_needed(app: Api, site: str) -> None:
    async with client_of(app) as client:
        headers = {"origin": OURS, "sec-fetch-site": site}
        assert (await client.post("/v1/jobs", json={"job_type": "report"}, headers=headers)).status_code == 201


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("origin", [*OTHERS, None])
async def test_any_other_page_may_still_not(app: Api, site: str, origin: str | None) -> None:
    async with client_of(app) as client:
        headers = {"sec-fetch-site": site} | ({} if origin is None else {"origin": origin})
        problem(await client.post("/v1/jobs", json={"job_type": "report"}, headers=headers), 401, "unauthenticated")
        assert await stored(client) == 0


async def test_a_configured_origin_is_no_key(storage: Storage) -> None:
    await given_key(storage, Scope.READ)
    async with started(storage, cors_origins=OURS) as app, client_of(app) as client:
        problem(await client.post("/v1/jobs", json={}, headers={"origin": OURS}), 401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/events"), ("POST", "/v1/jobs/import")])
async def test_a_stream_carries_the_headers_of_its_own_origin_alone(app: Api, method: str, path: str) -> None:
    for origin, allowed in ((OURS, [OURS]), ("https://evil.example", []), (OURS_TOO, [OURS_TOO])):
        headers = await first_headers(app, method, path, origin=origin)
        assert [value for name, value in headers if name == "access-control-allow-origin"] == allowed
        assert [value for name, value in headers if name == "vary"] == ["Origin"]


async def test_a_page_can_read_that_its_ticket_was_refused(page: httpx.AsyncClient) -> None:
    response = await page.get("/v1/events?ticket=nonsense")
    problem(response, 401, "unauthenticated")
    assert response.headers["access-control-allow-origin"] == OURS


async def first_headers(app: Api, method: str, path: str, *, origin: str) -> list[tuple[str, str]]:
    """With what an answer begins to a caller that hangs up then."""
    begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    received = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (message := next(received, None)) is not None:
            return message
        await asyncio.wait([begun])
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.set_result(message["headers"])

    async with asyncio.timeout(10):
        await app(scope_of(method, path) | {"headers": [(b"origin", origin.encode())]}, receive, send)
    return [(name.decode().lower(), value.decode()) for name, value in begun.result()]


async def test_with_no_origin_configured_nothing_is_added(storage: Storage) -> None:
    async with started(storage) as app, client_of(app) as client:
        for method, path, status in ANSWERS:
            response = await client.request(method, path, headers={"origin": OURS})
            assert (response.status_code, of_cors(response)) == (status, {})
            assert "vary" not in response.headers
        response = await client.options("/v1/jobs", headers=asking("GET"))
        assert (response.status_code, of_cors(response)) == (204, {})
        assert isinstance(app.middleware_stack, Edge)


def test_the_layer_is_there_when_an_origin_is_configured() -> None:
    assert not isinstance(create_app(Settings(cors_origins=(OURS,))).build_middleware_stack(), Edge)
