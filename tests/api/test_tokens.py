"""Tokens: made, read, listed, completed and expired with a key (contract 2, details E1 and E6)."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.cursors import write_cursor
from app.main import Api
from app.schemas.jobs import JobOut
from app.schemas.tokens import CreatedTokenOut, TokenOut, TokenPage
from dataqueue.clock import ManualClock
from dataqueue.domain.keys import Scope
from dataqueue.domain.tokens import ANY_TOKEN
from dataqueue.storage.port import Storage
from tests.api.given_tokens import FIELDS, completed, created, given_waiting_job, path_of, token_of
from tests.api.support import NOBODYS_ID, client_of, given_key, places, problem, read, shared, started
from tests.storage.given import HOUR, NAMESPACE, SECOND

DEEP = "[" * 65 + "]" * 65


async def test_a_token_is_made_of_nothing(client: httpx.AsyncClient) -> None:
    for body in (b"", b"{}"):
        response = await client.post("/v1/tokens", content=body)
        assert response.status_code == 201, response.text
        CreatedTokenOut.model_validate_json(response.content)
        token = response.json()
        assert list(token) == [*FIELDS, "callback_url"]
        assert response.headers["location"] == f"/v1/tokens/{token['id']}"
        assert (token["status"], token["tags"], token["output"]) == ("waiting", [], None)
        assert {token[name] for name in ("job_id", "name", "timeout_at", "completed_at", "expired_at")} == {None}


async def test_it_is_read_without_the_url_that_completes_it(client: httpx.AsyncClient) -> None:
    token = await created(client, tags=["b", "a", "b"], timeout="48h")
    seen = await token_of(client, token["id"])
    TokenOut.model_validate(seen)
    assert {**seen, "callback_url": token["callback_url"]} == token
    assert "callback_url" not in seen
    assert seen["tags"] == ["b", "a"]
    lifetime = datetime.fromisoformat(seen["timeout_at"]) - datetime.fromisoformat(seen["created_at"])
    assert lifetime == timedelta(hours=48)


@shared
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"timeout": 0}, ["timeout"]),
        ({"timeout": "soon"}, ["timeout"]),
        ({"timeout": "101w", "tags": "a"}, ["tags"]),
        ({"timeout": {"years": 101}}, ["timeout"]),
        ({"timeout": True}, ["timeout"]),
        ({"tags": [""]}, ["tags", 0]),
        ({"tags": [str(n) for n in range(51)]}, ["tags"]),
        ({"id": NOBODYS_ID}, ["id"]),
        ({"name": "approval"}, ["name"]),
        ([], []),
    ],
)
async def test_what_cannot_be_asked_of_a_token_is_refused(
    bystander: httpx.AsyncClient, body: Any, place: list[str | int]
) -> None:
    found = problem(await bystander.post("/v1/tokens", json=body), 422, "validation_failed")
    assert places(found) == [["body", *place]]


@shared
@pytest.mark.parametrize("path", ["", "/complete"])
async def test_a_token_that_is_not_there(bystander: httpx.AsyncClient, path: str) -> None:
    method = "POST" if path else "GET"
    problem(await bystander.request(method, f"/v1/tokens/{NOBODYS_ID}{path}"), 404, "not_found")
    found = problem(await bystander.request(method, f"/v1/tokens/nonsense{path}"), 422, "validation_failed")
    assert places(found) == [["path", "token_id"]]


@pytest.mark.parametrize("output", [None, 1, 1.0, True, "text", [], {"a": {"b": [1, None]}}, {"": ""}])
async def test_any_json_is_an_output(client: httpx.AsyncClient, clock: ManualClock, output: Any) -> None:
    token = await created(client)
    clock.advance(SECOND)
    response = await completed(client, token["id"], output)
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["status"], json.dumps(found["output"])) == ("completed", json.dumps(output))
    assert found["completed_at"] > found["created_at"]
    assert await token_of(client, token["id"]) == found
    assert "callback_url" not in found


async def test_an_output_comes_back_as_it_was_given(client: httpx.AsyncClient) -> None:
    text = '{"n":123456789012345678901234567890,"x":1.0,"e":[],"ü":"\\u00e9\\ud83d\\ude00"}'
    token = await created(client)
    response = await client.post(f"/v1/tokens/{token['id']}/complete", content=text)
    assert response.status_code == 200, response.text
    assert '"output":{"n":123456789012345678901234567890,"x":1.0,"e":[],"ü":"é😀"}' in response.text


async def test_without_a_body_the_output_is_null(client: httpx.AsyncClient) -> None:
    token = await created(client)
    response = await client.post(f"/v1/tokens/{token['id']}/complete")
    assert (response.json()["status"], response.json()["output"]) == ("completed", None)
    assert (await completed(client, token["id"], None)).status_code == 200


async def test_the_first_completion_counts_and_its_repeat_is_no_error(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    token = await created(client)
    first = await completed(client, token["id"], {"a": 1, "b": [True]})
    clock.advance(HOUR)
    again = await client.post(f"/v1/tokens/{token['id']}/complete", content='{ "b": [true], "a": 1 }')
    assert (again.status_code, again.json()) == (200, first.json())
    for other in ({"a": 1.0, "b": [True]}, {"a": True, "b": [True]}, {"a": 1, "b": [1]}, {"a": 1}, None):
        found = problem(await completed(client, token["id"], other), 409, "token_already_completed")
        assert "detail" in found
    assert (await token_of(client, token["id"])) == first.json()


async def test_of_many_at_once_one_is_the_first(client: httpx.AsyncClient) -> None:
    token = await created(client)
    answers = await asyncio.gather(*(completed(client, token["id"], n) for n in range(20)))
    [won] = [answer for answer in answers if answer.status_code == 200]
    assert [answer.json()["code"] for answer in answers if answer is not won] == ["token_already_completed"] * 19
    assert (await token_of(client, token["id"]))["output"] == won.json()["output"]


async def test_after_its_time_it_cannot_be_completed(client: httpx.AsyncClient, clock: ManualClock) -> None:
    token = await created(client, timeout=60)
    clock.advance(61 * SECOND)
    for _ in range(2):
        problem(await completed(client, token["id"], 1), 410, "token_expired")
    found = await token_of(client, token["id"])
    assert (found["status"], found["output"], found["completed_at"]) == ("timed_out", None, None)
    assert found["expired_at"] is not None


async def test_what_was_completed_in_time_stays_so(client: httpx.AsyncClient, clock: ManualClock) -> None:
    token = await created(client, timeout=60)
    assert (await completed(client, token["id"], 1)).status_code == 200
    clock.advance(HOUR)
    assert (await completed(client, token["id"], 1)).status_code == 200
    assert (await client.post("/v1/tokens/expire")).json() == {"expired": 0}


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{", {}, 422, "invalid_json"),
        (b"NaN", {}, 422, "invalid_json"),
        (b'"\\ud800"', {}, 422, "invalid_json"),
        (b'["\\u0000"]', {}, 422, "invalid_json"),
        (b'"\xff"', {}, 422, "invalid_json"),
        (DEEP.encode(), {}, 422, "invalid_json"),
        (b"1" * 5000, {}, 422, "invalid_json"),
        (b"a=1", {"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (b"1", {"content-encoding": "gzip"}, 415, "unsupported_media_type"),
        (b'"' + b"x" * (256 << 10) + b'"', {}, 413, "payload_too_large"),
        (b'"' + b"x" * (1 << 20) + b'"', {}, 413, "body_too_large"),
    ],
)
async def test_what_cannot_be_an_output_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    token = await created(client)
    response = await client.post(f"/v1/tokens/{token['id']}/complete", content=content, headers=headers)
    problem(response, status, code)
    assert (await token_of(client, token["id"]))["status"] == "waiting"


async def test_completing_one_lets_the_jobs_go_on_that_wait_for_it(client: httpx.AsyncClient, storage: Storage) -> None:
    token = await created(client)
    job = await given_waiting_job(storage, token["id"])
    waiting = await read(client, str(job.id))
    assert (waiting["status"], waiting["wait_token_id"], waiting["attempts"]) == ("waiting", token["id"], 1)
    async with storage.notifier.listen() as hints:
        assert (await anext(hints)).kind == "listening"
        assert (await completed(client, token["id"], {"approved": True})).status_code == 200
        async with asyncio.timeout(5):
            while (hint := await anext(hints)).kind != "ready":
                pass
    assert (hint.namespace, hint.names) == (NAMESPACE, (job.job_type,))
    resumed = await read(client, str(job.id))
    assert (resumed["status"], resumed["wait_token_id"], resumed["pending_reason"]) == ("pending", None, None)
    assert resumed["steps"] == {"approval": {"ok": {"approved": True}}}
    for one in (waiting, resumed):
        JobOut.model_validate(one)


async def test_what_happens_to_a_token_is_told(client: httpx.AsyncClient, clock: ManualClock) -> None:
    first, second = await created(client, tags=["a"]), await created(client, timeout=60)
    await completed(client, first["id"], 1)
    clock.advance(HOUR)
    await client.post("/v1/tokens/expire")
    response = await client.get("/v1/events?after=start", headers={"accept": "application/json"})
    assert response.status_code == 200, response.text
    told = [(event["event"], event["token_id"], event["tags"]) for event in response.json()["data"]]
    assert told == [
        ("token:created", first["id"], ["a"]),
        ("token:created", second["id"], []),
        ("token:completed", first["id"], ["a"]),
        ("token:expired", second["id"], []),
    ]
    assert {(event["job_id"], event["job_type"]) for event in response.json()["data"]} == {(None, None)}


async def test_expiring_says_how_many(client: httpx.AsyncClient, storage: Storage, clock: ManualClock) -> None:
    tokens = [await created(client, timeout=60) for _ in range(3)]
    await created(client, timeout=7200)
    await created(client)
    await completed(client, tokens[0]["id"])
    job = await given_waiting_job(storage, tokens[1]["id"])
    assert (await client.post("/v1/tokens/expire")).json() == {"expired": 0}
    clock.advance(HOUR)
    response = await client.post("/v1/tokens/expire", json={})
    assert (response.status_code, response.json()) == (200, {"expired": 2})
    assert (await client.post("/v1/tokens/expire")).json() == {"expired": 0}
    assert [(await token_of(client, token["id"]))["status"] for token in tokens] == [
        "completed",
        "timed_out",
        "timed_out",
    ]
    assert (await read(client, str(job.id)))["steps"] == {"approval": {"timeout": True}}


async def test_who_may_what(storage: Storage) -> None:
    keys = {scope: await given_key(storage, scope) for scope in Scope}
    async with started(storage) as app:
        token: dict[str, Any] = {}
        for scope, key in keys.items():
            async with client_of(app, key=key) as caller:
                made = await caller.post("/v1/tokens", json={})
                assert made.status_code == (201 if scope in {Scope.ENQUEUE, Scope.ADMIN} else 403), scope
                token = made.json() if made.status_code == 201 else token
        for scope, key in keys.items():
            async with client_of(app, key=key) as caller:
                path = f"/v1/tokens/{token['id']}"
                allowed = {
                    ("GET", path): {Scope.READ},
                    ("GET", "/v1/tokens"): {Scope.READ},
                    ("POST", f"{path}/complete"): {Scope.ENQUEUE, Scope.MANAGE},
                    ("POST", "/v1/tokens/expire"): {Scope.MANAGE},
                }
                for (method, asked), scopes in allowed.items():
                    answer = await caller.request(method, asked)
                    assert answer.status_code == (200 if scope in scopes | {Scope.ADMIN} else 403), (scope, asked)
        async with client_of(app) as stranger:
            problem(await stranger.post("/v1/tokens", json={}), 401, "unauthenticated")


async def test_a_token_of_another_namespace_is_not_there(storage: Storage, clock: ManualClock) -> None:
    ours, theirs = [await given_key(storage, Scope.ADMIN, namespace=name) for name in ("ours", "theirs")]
    async with started(storage) as app, client_of(app, key=ours) as we, client_of(app, key=theirs) as they:
        token = await created(we, timeout=60)
        problem(await they.get(f"/v1/tokens/{token['id']}"), 404, "not_found")
        problem(await completed(they, token["id"]), 404, "not_found")
        assert (await they.get("/v1/tokens")).json()["data"] == []
        clock.advance(HOUR)
        assert (await they.post("/v1/tokens/expire")).json() == {"expired": 0}
        assert (await we.post("/v1/tokens/expire")).json() == {"expired": 1}


async def listed(client: httpx.AsyncClient, *query: tuple[str, str]) -> list[str]:
    """The ids of every page of a list."""
    found: list[str] = []
    cursor: list[tuple[str, str]] = []
    while True:
        response = await client.get("/v1/tokens", params=httpx.QueryParams([*query, *cursor]))
        assert response.status_code == 200, response.text
        TokenPage.model_validate_json(response.content)
        page = response.json()
        found += [token["id"] for token in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = [("cursor", page["next_cursor"])]


async def test_a_list_is_newest_first_page_by_page(client: httpx.AsyncClient, clock: ManualClock) -> None:
    ids = []
    for number in range(5):
        ids.append((await created(client))["id"])
        if number % 2:
            clock.advance(SECOND)
    expected = [*ids[4:], *sorted(ids[2:4], reverse=True), *sorted(ids[:2], reverse=True)]
    assert await listed(client) == expected
    assert await listed(client, ("limit", "2")) == expected
    [one] = (await client.get("/v1/tokens?limit=1")).json()["data"]
    assert one == await token_of(client, expected[0])


async def test_a_list_is_narrowed(client: httpx.AsyncClient, storage: Storage, clock: ManualClock) -> None:
    tags: list[list[str]] = [[], ["a"], ["a", "b"], ["c"]]
    none, a, both, c = [(await created(client, tags=of, timeout=60))["id"] for of in tags]
    await completed(client, a)
    clock.advance(HOUR)
    await client.post("/v1/tokens/expire")
    later = (await created(client))["id"]
    assert await listed(client, ("status", "completed")) == [a]
    assert await listed(client, ("status", "completed"), ("status", "waiting")) == [later, a]
    assert set(await listed(client, ("status", "timed_out"))) == {none, both, c}
    assert set(await listed(client, ("tags", "a"))) == {a, both}
    assert await listed(client, ("tags", "a"), ("tags", "b")) == [both]
    assert await listed(client, ("tags", "a"), ("tag_mode", "exact")) == [a]
    assert set(await listed(client, ("tags", "a"), ("tags", "c"), ("tag_mode", "any"))) == {a, both, c}
    assert set(await listed(client, ("tags", "a"), ("tag_mode", "none"))) == {none, c, later}
    assert await listed(client, ("tags", "a"), ("status", "completed")) == [a]
    assert await listed(client, ("job_id", NOBODYS_ID)) == []


async def test_a_cursor_goes_with_its_filters(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await created(client, tags=["a"])
    response = await client.get("/v1/tokens?limit=1&tags=a&status=waiting&status=completed")
    cursor = response.json()["next_cursor"]
    good = await client.get(f"/v1/tokens?status=completed&status=waiting&tags=a&cursor={cursor}")
    assert len(good.json()["data"]) == 2
    of_jobs = write_cursor(b"x" * 24, of=["jobs", "default", repr(ANY_TOKEN)])
    short = write_cursor(b"x", of=["tokens", "default", repr(ANY_TOKEN)])
    far = write_cursor(b"\x7f" + b"\xff" * 23, of=["tokens", "default", repr(ANY_TOKEN)])
    for query in ("", "tags=a", "status=waiting"):
        problem(await client.get(f"/v1/tokens?{query}&cursor={cursor}"), 422, "invalid_cursor")
    for forged in (of_jobs, short, far, "nonsense", ""):
        problem(await client.get(f"/v1/tokens?cursor={forged}"), 422, "invalid_cursor")


@shared
@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("status=done", ["status", 0]), ("tag_mode=all", ["tag_mode"]), ("tags=a&tag_mode=some", ["tag_mode"]),
        ("job_id=x", ["job_id"]), ("limit=0", ["limit"]), ("limit=1001", ["limit"]), ("name=x", ["name"]),
        ("tags=", ["tags", 0]),
    ],
)  # fmt: skip
async def test_what_cannot_narrow_is_refused(bystander: httpx.AsyncClient, query: str, place: list[str | int]) -> None:
    found = problem(await bystander.get(f"/v1/tokens?{query}"), 422, "validation_failed")
    assert places(found) == [["query", *place]]


async def test_the_paths_beside_ids_are_not_ids(api: Api, client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/tokens/expire")
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "OPTIONS, POST"
    assert path_of((await created(client))["callback_url"]).startswith("/v1/tokens/")
