"""POST /v1/events/ticket: a pass for a browser, which can send no key (contract 4, details K1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.main import Api
from dataqueue.clock import ManualClock
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.event_source import JSON_PAGE, PATH, Nth, Reader, nothing_is_left, reading
from tests.api.support import JSON, client_of, enqueued, eventually, given_key, problem, started
from tests.storage.past_the_port import all_that_is_kept

TICKET = f"{PATH}/ticket"


async def issued(client: httpx.AsyncClient) -> str:
    response = await client.post(TICKET)
    assert response.status_code == 201, response.text
    ticket: str = response.json()["ticket"]
    return ticket


async def refused(api: Api, *query: tuple[str, str], **options: Any) -> None:
    """401, as a problem, and nothing else."""
    reader = Reader(api, *query, **options)
    await reader.ends()
    problem(reader.response, 401, "unauthenticated")
    assert reader.response.headers["www-authenticate"] == "Bearer"


async def test_a_ticket_opens_one_stream_within_a_minute(api: Api, client: httpx.AsyncClient, storage: Storage) -> None:
    response = await client.post(TICKET)
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    found = response.json()
    assert set(found) == {"ticket", "expires_at"}
    assert found["expires_at"] == "2030-01-01T00:01:00.000000Z"
    async with reading(api, ("ticket", found["ticket"])) as reader:
        await enqueued(client)
        await reader.has_heard(1)
        await refused(api, ("ticket", found["ticket"]))
    await refused(api, ("ticket", found["ticket"]))
    nothing_is_left(api)


async def test_a_ticket_that_was_not_used_expires(api: Api, client: httpx.AsyncClient, clock: ManualClock) -> None:
    early, late = await issued(client), await issued(client)
    clock.advance(timedelta(seconds=60) - timedelta(microseconds=1))
    async with reading(api, ("ticket", early)):
        clock.advance(timedelta(microseconds=1))
        await refused(api, ("ticket", late))


async def test_tickets_differ_and_are_not_kept_as_they_are(
    client: httpx.AsyncClient, storage: Storage, storage_url: str
) -> None:
    tickets = {await issued(client) for _ in range(5)}
    assert len(tickets) == 5
    kept = await all_that_is_kept(storage_url)
    assert not any(ticket in kept for ticket in tickets)


@pytest.mark.parametrize("ticket", ["unheard-of", "dqt_" + "x" * 43, "%00", "x" * 5000, "\u00e4"])
async def test_no_ticket_is_made_up(api: Api, ticket: str) -> None:
    await refused(api, ("ticket", ticket))


async def test_a_ticket_admits_to_the_namespace_of_the_key_it_was_had_for(storage: Storage) -> None:
    ours, theirs = await given_key(storage, Scope.ADMIN), await given_key(storage, Scope.ADMIN, namespace="theirs")
    async with started(storage) as api, client_of(api, key=ours) as us, client_of(api, key=theirs) as them:
        await refused(api)
        async with reading(api, ("ticket", await issued(them)), ("after", "start")) as reader:
            await enqueued(us, job_type="ours")
            await enqueued(them, job_type="theirs")
            await reader.has_heard(1)
            assert reader.heard == [("theirs", "job:added")]
        nothing_is_left(api)


async def test_filters_and_a_place_come_with_the_ticket(api: Api, client: httpx.AsyncClient, nth: Nth) -> None:
    for job_type in ("one", "two", "three", "two"):
        await enqueued(client, job_type=job_type, tags=["t"])
    query = [("job_type", "two"), ("tags", "t"), ("event", "job:added")]
    async with reading(api, ("ticket", await issued(client)), ("after", nth(1)), *query) as reader:
        assert [said["id"] for said in await reader.has_heard(2)] == [nth(2), nth(4)]
    # What a browser sends by itself when it reconnects, but for the ticket, which must be another.
    resuming = {"last-event-id": nth(2)}
    async with reading(api, ("ticket", await issued(client)), ("after", nth(1)), *query, headers=resuming) as reader:
        assert [said["id"] for said in await reader.has_heard(1)] == [nth(4)]


async def test_a_ticket_is_good_for_a_page(api: Api, client: httpx.AsyncClient, nth: Nth) -> None:
    await enqueued(client)
    ticket = await issued(client)
    response = await client.get(PATH, params={"ticket": ticket, "after": "start"}, headers=JSON_PAGE)
    assert [said["id"] for said in response.json()["data"]] == [nth(1)]
    await refused(api, ("ticket", ticket), headers=JSON_PAGE)


async def test_a_ticket_opens_nothing_else(storage: Storage) -> None:
    key = await given_key(storage, Scope.ADMIN)
    async with started(storage) as api, client_of(api, key=key) as client, client_of(api) as nobody:
        ticket = await issued(client)
        for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/stats"), ("POST", TICKET)):
            response = await nobody.request(method, path, params={"ticket": ticket})
            problem(response, 401, "unauthenticated")
            response = await nobody.request(method, path, headers={"authorization": f"Bearer {ticket}"})
            problem(response, 401, "unauthenticated")
        async with reading(api, ("ticket", ticket)):
            pass


async def test_whoever_has_a_key_uses_up_no_ticket(storage: Storage) -> None:
    key = await given_key(storage, Scope.READ)
    async with started(storage) as api, client_of(api, key=key) as client:
        ticket = await issued(client)
        async with reading(api, ("ticket", ticket), headers={"authorization": f"Bearer {key}"}):
            pass
        await refused(api, ("ticket", ticket), headers={"authorization": "Bearer dq_wrong"})
        async with reading(api, ("ticket", ticket)):
            pass


@pytest.mark.parametrize("scope", Scope)
async def test_a_ticket_needs_a_key_that_may_read(storage: Storage, scope: Scope) -> None:
    key = await given_key(storage, scope)
    async with started(storage) as api, client_of(api, key=key) as client, client_of(api) as nobody:
        response = await client.post(TICKET)
        if scope in (Scope.READ, Scope.ADMIN):
            assert response.status_code == 201
        else:
            problem(response, 403, "insufficient_scope")
        problem(await nobody.post(TICKET), 401, "unauthenticated")


@pytest.mark.parametrize("query", ["ticket=x", "event=job:added", "after=now"])
async def test_filters_come_with_the_stream_and_not_before(client: httpx.AsyncClient, query: str) -> None:
    problem(await client.post(f"{TICKET}?{query}"), 422, "validation_failed")


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_an_empty_body_says_nothing(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post(TICKET, content=body, headers=JSON)).status_code == 201


@pytest.mark.parametrize("body", [b'{"event":["job:added"]}', b"[]"])
async def test_a_body_that_says_something_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    problem(await client.post(TICKET, content=body, headers=JSON), 422, "validation_failed")


async def test_the_path_of_tickets_answers_no_other_method(client: httpx.AsyncClient) -> None:
    response = await client.get(TICKET)
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "OPTIONS, POST"


async def test_a_stream_by_ticket_is_looked_after_by_no_key(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("app.sse", "app.api.events"):
        monkeypatch.setattr(f"{module}.QUIET", 0.03)
    key = await given_key(storage, Scope.ADMIN)
    async with (
        started(storage) as api,
        client_of(api, key=key) as client,
        reading(api, ("ticket", await issued(client))) as reader,
    ):
        await eventually("signs of life", lambda: reader.parser.comments.count("ping") > 3)
        await enqueued(client)
        await reader.has_heard(1)
