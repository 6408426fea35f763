"""Completing a token by its URL, without a key: what third parties send, and what strangers try (details E5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from app.schemas.tokens import CallbackOut
from dataqueue.clock import ManualClock
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.given_tokens import completed, created, given_waiting_job, path_of, token_of
from tests.api.support import NOBODYS_ID, client_of, given_key, places, problem, read, started
from tests.storage.given import HOUR

FORM = {"content-type": "application/x-www-form-urlencoded"}
TEXT = {"content-type": "text/plain; charset=utf-8"}


async def given_url(client: httpx.AsyncClient, **fields: Any) -> tuple[str, str]:
    """A token's id and the path that completes it."""
    token = await created(client, **fields)
    return token["id"], path_of(token["callback_url"])


async def test_a_post_completes_the_token_and_learns_nothing_else(client: httpx.AsyncClient, storage: Storage) -> None:
    token_id, url = await given_url(client, tags=["secret"])
    job = await given_waiting_job(storage, token_id)
    response = await client.post(url, json={"approved": True})
    assert (response.status_code, response.json()) == (200, {"id": token_id, "status": "completed"})
    CallbackOut.model_validate_json(response.content)
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert (await token_of(client, token_id))["output"] == {"approved": True}
    found = await read(client, str(job.id))
    assert (found["status"], found["steps"]) == ("pending", {"approval": {"ok": {"approved": True}}})


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ({"json": [1, 2.0]}, [1, 2.0]),
        ({"data": {"state": "paid", "ids": ["1", "2"]}}, {"state": "paid", "ids": ["1", "2"]}),
        ({"files": {"a": (None, "ü"), "b": (None, "2")}}, {"a": "ü", "b": "2"}),
        ({"content": "thanks", "headers": TEXT}, "thanks"),
        ({"content": b"<paid/>", "headers": {"content-type": "application/xml"}}, "<paid/>"),
        ({"content": b"[1]"}, [1]),
        ({"content": b"just text"}, "just text"),
        ({}, None),
        ({"headers": FORM}, None),
    ],
    ids=["json", "form", "multipart", "text", "xml", "untyped json", "untyped text", "nothing", "no form"],
)
async def test_any_content_type_is_taken(client: httpx.AsyncClient, options: dict[str, Any], output: Any) -> None:
    token_id, url = await given_url(client)
    for _ in range(2):
        response = await client.post(url, **options)
        assert response.status_code == 200, response.text
    assert (await token_of(client, token_id))["output"] == output


async def test_it_needs_no_key_where_others_do_and_takes_none(storage: Storage) -> None:
    key = await given_key(storage, Scope.ENQUEUE, Scope.READ, namespace="a team/ü")
    async with started(storage) as app, client_of(app, key=key) as client:
        token_id, url = await given_url(client)
        for theirs in (None, "dq_nobodys"):
            async with client_of(app, key=theirs, client="203.0.113.9") as stranger:
                assert (await stranger.post(url, json=1)).status_code == 200
        assert (await token_of(client, token_id))["output"] == 1


async def test_only_a_post_completes(client: httpx.AsyncClient) -> None:
    token_id, url = await given_url(client)
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        response = await client.request(method, url)
        assert response.status_code == 405
        assert response.headers["allow"] == "OPTIONS, POST"
    assert (await client.options(url)).status_code == 204
    assert (await token_of(client, token_id))["status"] == "waiting"


async def test_the_first_completion_counts_whoever_makes_it(client: httpx.AsyncClient) -> None:
    token_id, url = await given_url(client)
    assert (await client.post(url, json={"a": 1, "b": 2})).status_code == 200
    assert (await client.post(url, json={"b": 2, "a": 1})).status_code == 200
    assert (await completed(client, token_id, {"a": 1, "b": 2})).status_code == 200
    for other in ({"a": 1.0, "b": 2}, None):
        problem(await client.post(url, json=other), 409, "token_already_completed")
    problem(await client.post(url, content="a=1&b=2", headers=FORM), 409, "token_already_completed")
    assert (await token_of(client, token_id))["output"] == {"a": 1, "b": 2}


async def test_of_many_at_once_one_is_the_first(client: httpx.AsyncClient) -> None:
    _, url = await given_url(client)
    answers = await asyncio.gather(*(client.post(url, json=n % 2) for n in range(20)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(409)) == (10, 10)


async def test_after_its_time_it_is_gone(client: httpx.AsyncClient, clock: ManualClock) -> None:
    _, url = await given_url(client, timeout=60)
    clock.advance(HOUR)
    problem(await client.post(url, json=1), 410, "token_expired")


async def test_a_token_that_was_removed_is_not_there(
    client: httpx.AsyncClient, storage: Storage, clock: ManualClock
) -> None:
    token_id, url = await given_url(client)
    await completed(client, token_id)
    clock.advance(HOUR)
    assert await storage.upkeep.prune_tokens(keep=HOUR / 2, limit=10) == 1
    problem(await client.post(url), 404, "not_found")


async def test_a_url_that_is_not_ours_does_nothing(client: httpx.AsyncClient) -> None:
    token_id, url = await given_url(client)
    _, url_of_another = await given_url(client)
    path, _, query = url.partition("?")
    signature, of_another = [parse_qs(urlsplit(one).query)["signature"][0] for one in (url, url_of_another)]
    others = [
        path,
        f"{path}?namespace=default",
        f"{path}?signature={signature}",
        f"{path}?namespace=default&signature=",
        f"{path}?namespace=default&signature={of_another}",
        f"{path}?namespace=default&signature={signature[:-1]}",
        f"{path}?namespace=default&signature={signature}%00",
        f"{path}?namespace=default&signature={'%C3%BC' * 43}",
        f"{path}?namespace=default&signature={'A' * 5000}",
        f"{path}?namespace=other&signature={signature}",
        f"{path}?namespace=default%00&signature={signature}",
        f"{path}?namespace={'x' * 5000}&signature={signature}",
        f"{path.replace(token_id, NOBODYS_ID)}?{query}",
    ]
    for forged in others:
        found = problem(await client.post(forged, json="Leak-Me"), 403, "invalid_signature")
        assert signature not in str(found)
    assert (await token_of(client, token_id))["status"] == "waiting"


@pytest.mark.parametrize(
    "id", ["nonsense", "1", "%00", "%ff", "01936B2E-7C4A-7D3F-9B1C-5F0E8A2D4C61", "01936b2e7c4a7d3f9b1c5f0e8a2d4c61"]
)
async def test_what_is_no_id_of_ours_is_not_there(client: httpx.AsyncClient, id: str) -> None:
    _, url = await given_url(client)
    query = url.partition("?")[2]
    problem(await client.post(f"/v1/tokens/{id}/callback?{query}", json=1), 404, "not_found")


async def test_what_the_url_did_not_carry_is_refused(client: httpx.AsyncClient) -> None:
    token_id, url = await given_url(client)
    found = problem(await client.post(f"{url}&utm_source=mail", json=1), 422, "validation_failed")
    assert places(found) == [["query", "utm_source"]]
    problem(await client.post(f"{url}&signature=x", json=1), 422, "validation_failed")
    assert (await token_of(client, token_id))["status"] == "waiting"


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{Leak-Me", {"content-type": "application/json"}, 422, "invalid_json"),
        (b'"\\u0000"', {"content-type": "application/json"}, 422, "invalid_json"),
        (b"[" * 10_000, {"content-type": "application/json"}, 422, "invalid_json"),
        (b"a=Leak-Me%FF", FORM, 422, "validation_failed"),
        (b"\xff\xfeLeak-Me\xff", TEXT, 422, "validation_failed"),
        (b"Leak-Me", {"content-type": "text/plain; charset=unicode_escape"}, 422, "validation_failed"),
        (b"Leak-Me", {"content-type": "multipart/form-data"}, 422, "validation_failed"),
        (b"Leak-Me", {**TEXT, "content-encoding": "gzip"}, 415, "unsupported_media_type"),
        (b"x" * ((256 << 10) + 1), TEXT, 413, "body_too_large"),
        (b"\x01" * (200 << 10), TEXT, 413, "payload_too_large"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    token_id, url = await given_url(client)
    response = await client.post(url, content=content, headers=headers)
    problem(response, status, code)
    assert "Leak-Me" not in response.text
    assert (await token_of(client, token_id))["status"] == "waiting"


async def test_a_body_without_an_end_is_cut_short(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10_000

    _, url = await given_url(client)
    problem(await client.post(url, content=endless(), headers=TEXT), 413, "body_too_large")
    assert sent < 100


async def test_of_a_stranger_no_body_is_read(client: httpx.AsyncClient) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    token_id, _ = await given_url(client)
    url = f"/v1/tokens/{token_id}/callback?namespace=default&signature=forged"
    problem(await client.post(url, content=never_read(), headers=TEXT), 403, "invalid_signature")


async def test_no_log_shows_a_url(client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    _, url = await given_url(client)

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"what went wrong at {url}")

    monkeypatch.setattr("app.api.token_callbacks.complete_token", broken)
    with capture_logs() as logs:
        response = await client.post(url, json=1)
    problem(response, 500, "internal_error")
    assert len(logs) == 1
    assert "signature" not in str(logs)
    assert url.partition("signature=")[2] not in str(logs) + response.text


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("queue", "http://queue/"),
        ("queue.example.com:8443", "http://queue.example.com:8443/"),
        ("[::1]:8000", "http://[::1]:8000/"),
        ("queue/../evil", "http://127.0.0.1:8000/"),
        ("evil?x=", "http://127.0.0.1:8000/"),
        ("user@evil", "http://127.0.0.1:8000/"),
        ("", "http://127.0.0.1:8000/"),
    ],
)
async def test_its_base_is_that_of_the_request(client: httpx.AsyncClient, host: str, base: str) -> None:
    response = await client.post("/v1/tokens", json={}, headers={"host": host})
    assert response.json()["callback_url"].startswith(f"{base}v1/tokens/")


async def test_its_base_is_the_one_that_the_settings_name(storage: Storage) -> None:
    async with started(storage, public_url="https://queue.example.com/q/") as app, client_of(app) as client:
        url = (await created(client))["callback_url"]
        assert url.startswith("https://queue.example.com/q/v1/tokens/")
        assert (await client.post(path_of(url).removeprefix("/q"), json=1)).status_code == 200
