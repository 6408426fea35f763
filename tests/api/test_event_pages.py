"""GET /v1/events as a page: what a program polls that cannot keep a connection (details A11, A12, G1)."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from app.main import Api
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.event_log import START, happening, types
from tests.api.event_source import JSON_PAGE, PATH, Nth, nothing_is_left, page
from tests.api.support import NOBODYS_ID, client_of, enqueued, given_key, places, problem, shared, started


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json;q=0.9", "Application/JSON", "text/html, application/json"]
)
async def test_whoever_asks_for_json_gets_a_page(api: Api, client: httpx.AsyncClient, accept: str) -> None:
    job_id = await enqueued(client)
    found = await page(client, START, accept=accept)
    assert found["data"] == (await client.get(f"/v1/jobs/{job_id}/events")).json()["data"]
    assert found["next_cursor"] == found["data"][-1]["id"]
    nothing_is_left(api)


async def test_a_head_of_a_page_is_a_page_without_its_body(client: httpx.AsyncClient) -> None:
    response = await client.head(PATH, headers=JSON_PAGE)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/json"


async def test_pages_are_oldest_first_and_lead_on_to_the_end_and_past_it(
    client: httpx.AsyncClient, storage: Storage, nth: Nth
) -> None:
    await happening(storage, "one", "two", "three", "four", "five")
    after, seen = "start", []
    for expected in (["one", "two"], ["three", "four"], ["five"], [], []):
        found = await page(client, ("after", after), ("limit", "2"))
        assert types(found) == expected
        after = found["next_cursor"]
        seen.append(after)
    assert seen == [nth(n) for n in (2, 4, 5, 5, 5)]
    await happening(storage, "six", "seven")
    assert types(await page(client, ("after", after))) == ["six", "seven"]


async def test_an_empty_log_has_a_position_to_go_on_from(client: httpx.AsyncClient, storage: Storage) -> None:
    for after in ("start", "now"):
        assert await page(client, ("after", after)) == {"data": [], "next_cursor": "0"}
    await happening(storage, "one")
    assert types(await page(client, ("after", "0"))) == ["one"]


async def test_a_page_from_now_is_empty_and_says_where_now_is(
    client: httpx.AsyncClient, storage: Storage, nth: Nth
) -> None:
    await happening(storage, "one", "two")
    for query in ([], [("after", "now")]):
        assert await page(client, *query) == {"data": [], "next_cursor": nth(2)}
    await happening(storage, "three")
    assert types(await page(client, ("after", nth(2)))) == ["three"]


async def test_a_page_holds_what_was_stored_before_it_was_asked_for(
    client: httpx.AsyncClient, storage: Storage, nth: Nth
) -> None:
    for number in range(30):
        await happening(storage, f"t{number}")
        found = await page(client, ("after", nth(number)))
        assert types(found) == [f"t{number}"]


async def test_a_page_has_fifty_unless_it_is_said(client: httpx.AsyncClient, storage: Storage, nth: Nth) -> None:
    await happening(storage, *["mail"] * 1100)
    for query, count in (([], 50), ([("limit", "1")], 1), ([("limit", "1000")], 1000)):
        found = await page(client, START, *query)
        assert [event["id"] for event in found["data"]] == [nth(n) for n in range(1, count + 1)]
        assert found["next_cursor"] == nth(count)


async def test_pages_and_parameters_are_those_of_the_stream(client: httpx.AsyncClient, nth: Nth) -> None:
    plain = await enqueued(client, job_type="mail")
    both = await enqueued(client, job_type="report", tags=["a", "b"])
    await client.post(f"/v1/jobs/{both}/cancel")
    cases: list[tuple[list[tuple[str, str]], list[int]]] = [
        ([("event", "job:cancelled")], [3]),
        ([("event", "job:cancelled"), ("event", "job:added")], [1, 2, 3]),
        ([("job_id", plain)], [1]),
        ([("job_id", plain), ("job_id", both), ("job_id", NOBODYS_ID)], [1, 2, 3]),
        ([("job_id", both), ("event", "job:added")], [2]),
        ([("tags", "b"), ("tags", "a"), ("tag_mode", "exact")], [2, 3]),
        ([("tags", "b"), ("tag_mode", "exact")], []),
        ([("tags", "b"), ("tag_mode", "none")], [1]),
        ([("tags", "b"), ("tags", "x"), ("tag_mode", "any"), ("job_type", "report")], [2, 3]),
    ]
    for query, expected in cases:
        found = await page(client, START, *query)
        assert [event["id"] for event in found["data"]] == [nth(n) for n in expected], query
        assert found["next_cursor"] == nth(3), "nothing else is there up to the end"


async def test_the_header_wins_over_the_parameter(client: httpx.AsyncClient, storage: Storage, nth: Nth) -> None:
    await happening(storage, "one", "two")
    assert types(await page(client, START, **{"last-event-id": nth(1)})) == ["two"]
    assert types(await page(client, START, **{"last-event-id": ""})) == ["one", "two"]


async def test_a_page_of_one_namespace_shows_nothing_of_another(storage: Storage) -> None:
    ours, theirs = await given_key(storage, Scope.READ), await given_key(storage, Scope.ADMIN, namespace="theirs")
    async with started(storage) as api, client_of(api, key=ours) as us, client_of(api, key=theirs) as them:
        their_job = await enqueued(them, tags=["t"])
        for query in ([], [("job_id", their_job)], [("tags", "t")]):
            found = await page(us, START, *query)
            assert found["data"] == []
            assert await page(us, ("after", found["next_cursor"])) == found


async def test_pages_of_many_at_once_are_each_complete(
    api: Api, client: httpx.AsyncClient, storage: Storage, nth: Nth
) -> None:
    await happening(storage, *["mail"] * 20)
    pages = await asyncio.gather(*(page(client, ("after", nth(number % 20))) for number in range(60)))
    assert [len(found["data"]) for found in pages] == [20 - number % 20 for number in range(60)]
    nothing_is_left(api)


@shared
@pytest.mark.parametrize("limit", ["0", "-1", "1001", "", "ten", "1.0", "\u0661"])
async def test_a_limit_is_from_1_to_1000(bystander: httpx.AsyncClient, limit: str) -> None:
    response = await bystander.get(PATH, params={"limit": limit}, headers=JSON_PAGE)
    assert places(problem(response, 422, "validation_failed")) == [["query", "limit"]]


@shared
async def test_a_cursor_goes_by_after(bystander: httpx.AsyncClient) -> None:
    response = await bystander.get(PATH, params={"cursor": "1"}, headers=JSON_PAGE)
    assert places(problem(response, 422, "validation_failed")) == [["query", "cursor"]]
