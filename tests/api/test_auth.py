"""Keys, scopes, namespaces, and when none is needed (contract 0, details B8, B9)."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import httpx
import pytest

from app.auth import FRESH_FOR, Authenticator
from app.main import create_app
from dataqueue.domain.keys import Caller, Scope, digest_of, new_secret
from dataqueue.errors import Unauthenticated
from dataqueue.settings import Settings
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import KeyStore, Storage
from tests.api.support import NOBODYS_ID, client_of, enqueued, given_key, problem, shared, started, stored

ROUTES: Final = [
    ("POST", "/v1/jobs", Scope.ENQUEUE),
    ("POST", "/v1/jobs/batch", Scope.ENQUEUE),
    ("GET", "/v1/jobs", Scope.READ),
    ("GET", f"/v1/jobs/{NOBODYS_ID}", Scope.READ),
    ("GET", f"/v1/jobs/{NOBODYS_ID}/events", Scope.READ),
    ("POST", f"/v1/jobs/{NOBODYS_ID}/cancel", Scope.MANAGE),
    ("POST", f"/v1/jobs/{NOBODYS_ID}/retry", Scope.MANAGE),
    ("POST", "/v1/jobs/import", Scope.ENQUEUE),
    ("PATCH", f"/v1/jobs/{NOBODYS_ID}", Scope.MANAGE),
    ("DELETE", f"/v1/jobs/{NOBODYS_ID}", Scope.MANAGE),
    ("POST", "/v1/jobs/cancel", Scope.MANAGE),
    ("POST", "/v1/jobs/retry", Scope.MANAGE),
    ("POST", "/v1/jobs/edit", Scope.MANAGE),
    ("POST", "/v1/jobs/delete", Scope.MANAGE),
    ("GET", "/v1/tags", Scope.READ),
    ("GET", "/v1/tags/a%2Fb", Scope.READ),
    ("GET", "/v1/job-types", Scope.READ),
    ("GET", "/v1/job-types/a%2Fb", Scope.READ),
    ("PUT", "/v1/job-types/a%2Fb", Scope.MANAGE),
    ("POST", "/v1/job-types/a%2Fb/pause", Scope.MANAGE),
    ("POST", "/v1/job-types/a%2Fb/resume", Scope.MANAGE),
    ("GET", "/v1/stats", Scope.READ),
    ("GET", "/v1/workers", Scope.READ),
    ("POST", "/v1/workers/a%2Fb/drain", Scope.MANAGE),
    ("POST", "/v1/maintenance/run", Scope.MANAGE),
    ("GET", "/v1/events", Scope.READ),
    ("POST", "/v1/events/ticket", Scope.READ),
    ("GET", "/metrics", Scope.READ),
    ("POST", "/v1/tokens", Scope.ENQUEUE),
    ("GET", "/v1/tokens", Scope.READ),
    ("GET", f"/v1/tokens/{NOBODYS_ID}", Scope.READ),
    ("POST", "/v1/tokens/expire", Scope.MANAGE),
]
# Two scopes will do for the one, none is needed for the other: see test_tokens and test_token_callbacks.
OTHERS: Final = {("POST", f"/v1/tokens/{NOBODYS_ID}/complete"), ("POST", f"/v1/tokens/{NOBODYS_ID}/callback")}
OF_EVERYBODY: Final = {("GET", "/healthz"), ("GET", "/readyz")}


def test_every_documented_route_is_tried_here() -> None:
    documented = {
        (method.upper(), re.sub(r"\{\w+\}", "a%2Fb", re.sub(r"\{(job|token)_id\}", NOBODYS_ID, path)))
        for path, operations in create_app(Settings()).openapi()["paths"].items()
        for method in operations
    }
    assert documented - OTHERS - OF_EVERYBODY == {(method, path) for method, path, _ in ROUTES}


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
async def test_a_route_needs_its_scope_and_no_other_will_do(
    storage: Storage, method: str, path: str, scope: Scope
) -> None:
    async with started(storage) as app:
        for held in Scope:
            async with client_of(app, key=await given_key(storage, held)) as client:
                # Events as a page: a stream of them has no end.
                response = await client.request(method, path, headers={"accept": "application/json"})
                if held in (scope, Scope.ADMIN):
                    assert response.status_code in (200, 201, 404, 422), response.text
                else:
                    found = problem(response, 403, "insufficient_scope")
                    assert scope.value in found["detail"]


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, _ in ROUTES])
async def test_once_a_key_exists_none_will_not_do(storage: Storage, method: str, path: str) -> None:
    await given_key(storage, Scope.ADMIN)
    async with started(storage) as app, client_of(app) as client:
        response = await client.request(method, path)
        problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
async def test_what_everybody_may_see_needs_no_key(storage: Storage, path: str) -> None:
    await given_key(storage, Scope.ADMIN)
    async with started(storage) as app, client_of(app) as client:
        assert (await client.get(path)).status_code == 200


@shared
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer dq_",
        "Bearer dq_hunter2",
        "Basic dq_x",
        "dq_hunter2",
        "Bearer sk_x",
        "Bearer dq_é",
        b"Bearer \xff",
    ],
)
async def test_a_key_that_came_is_checked_even_where_none_is_needed(
    bystander: httpx.AsyncClient, authorization: str | bytes
) -> None:
    raw = authorization.encode() if isinstance(authorization, str) else authorization
    response = await bystander.get("/v1/jobs", headers={b"authorization": raw})
    problem(response, 401, "unauthenticated")
    assert "hunter2" not in response.text


async def test_every_wrong_key_gets_the_same_answer(storage: Storage) -> None:
    good = await given_key(storage, Scope.READ)
    async with started(storage) as app, client_of(app) as client:
        answers = set()
        for wrong in (new_secret(), good[:-1], good + "x", "nonsense"):
            response = await client.get(
                "/v1/jobs", headers={"authorization": f"Bearer {wrong}", "x-request-id": "same"}
            )
            answers.add((response.status_code, response.content))
        assert len(answers) == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_written_as_you_like(storage: Storage, scheme: str) -> None:
    key = await given_key(storage, Scope.READ)
    async with started(storage) as app, client_of(app) as client:
        assert (await client.get("/v1/jobs", headers={"authorization": f"{scheme} {key}"})).status_code == 200


async def test_a_key_sees_nothing_of_another_namespace(storage: Storage) -> None:
    ours = await given_key(storage, Scope.ADMIN)
    theirs = await given_key(storage, Scope.ADMIN, namespace="theirs")
    async with started(storage) as app, client_of(app, key=ours) as us, client_of(app, key=theirs) as them:
        body = {"job_type": "report", "idempotency_key": "k"}
        job_id = (await us.post("/v1/jobs", json=body)).json()["id"]
        assert (await them.post("/v1/jobs", json=body)).status_code == 201
        missing = await them.get(f"/v1/jobs/{NOBODYS_ID}", headers={"x-request-id": "same"})
        foreign = await them.get(f"/v1/jobs/{job_id}", headers={"x-request-id": "same"})
        problem(foreign, 404, "not_found")
        assert foreign.text.replace(job_id, "?") == missing.text.replace(NOBODYS_ID, "?")
        problem(await them.get(f"/v1/jobs/{job_id}/events"), 404, "not_found")
        problem(await them.post(f"/v1/jobs/{job_id}/cancel"), 404, "not_found")
        problem(await them.post(f"/v1/jobs/{job_id}/retry"), 404, "not_found")
        assert (await us.get(f"/v1/jobs/{job_id}")).json()["status"] == "pending"
        assert (await us.get(f"/v1/jobs/{job_id}")).json()["namespace"] == "default"
        assert (await stored(us), await stored(them)) == (1, 1)


async def test_a_cursor_of_one_namespace_is_not_anothers(storage: Storage) -> None:
    ours = await given_key(storage, Scope.ADMIN)
    theirs = await given_key(storage, Scope.ADMIN, namespace="theirs")
    async with started(storage) as app, client_of(app, key=ours) as us, client_of(app, key=theirs) as them:
        for _ in range(2):
            await enqueued(us)
        cursor = (await us.get("/v1/jobs?limit=1")).json()["next_cursor"]
        problem(await them.get(f"/v1/jobs?cursor={cursor}"), 422, "invalid_cursor")


async def test_without_a_key_everything_happens_in_the_default_namespace(client: httpx.AsyncClient) -> None:
    job_id = await enqueued(client)
    assert (await client.get(f"/v1/jobs/{job_id}")).json()["namespace"] == "default"
    assert (await client.post(f"/v1/jobs/{job_id}/cancel")).status_code == 200


async def test_open_access_stays_open_when_keys_exist(storage: Storage) -> None:
    await given_key(storage, Scope.READ)
    async with started(storage, open_access=True) as app, client_of(app) as client:
        assert (await client.get("/v1/jobs")).status_code == 200


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.2", "2001:db8::1", "testclient"])
@pytest.mark.parametrize("open_access", [True, False])
async def test_only_this_machine_may_call_without_a_key(storage: Storage, address: str, open_access: bool) -> None:
    async with started(storage, open_access=open_access) as app, client_of(app, client=address) as client:
        problem(await client.get("/v1/jobs"), 401, "unauthenticated")


@shared
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_may_not_call_without_a_key(bystander: httpx.AsyncClient, site: str) -> None:
    response = await bystander.post("/v1/jobs", json={"job_type": "report"}, headers={"sec-fetch-site": site})
    problem(response, 401, "unauthenticated")
    assert await stored(bystander) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "queue.example.com", ""])
async def test_an_address_that_others_reach_needs_a_key_to_start(storage: Storage, host: str) -> None:
    with pytest.raises(SystemExit, match="dataqueue keys create"):
        async with started(storage, host=host):
            pass
    key = await given_key(storage, Scope.READ)
    async with started(storage, host=host) as app, client_of(app) as nobody, client_of(app, key=key) as somebody:
        problem(await nobody.get("/v1/jobs"), 401, "unauthenticated")
        assert (await somebody.get("/v1/jobs")).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1"])
async def test_open_access_is_for_this_machine_only(storage: Storage, host: str) -> None:
    await given_key(storage, Scope.ADMIN)
    with pytest.raises(SystemExit, match="loopback"):
        async with started(storage, host=host, open_access=True):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
async def test_this_machine_alone_needs_no_key_to_start(storage: Storage, host: str) -> None:
    async with started(storage, host=host) as app, client_of(app) as client:
        assert (await client.get("/v1/jobs")).status_code == 200


async def test_while_keys_cannot_be_seen_an_address_that_others_reach_starts_closed(nowhere: str) -> None:
    storage = open_storage(nowhere)
    async with started(storage, host="0.0.0.0") as app, client_of(app) as client:
        problem(await client.get("/v1/jobs"), 401, "unauthenticated")
        problem(
            await client.get("/v1/jobs", headers={"authorization": f"Bearer {new_secret()}"}),
            503,
            "storage_unavailable",
        )
    await storage.close()


class Keys:
    """As much of a key store as an authenticator asks for; counts the questions."""

    def __init__(self) -> None:
        self.callers: dict[bytes, Caller] = {}
        self.questions = 0

    async def find(self, digest: bytes) -> Caller | None:
        self.questions += 1
        return self.callers.get(digest)

    async def any_exist(self) -> bool:
        self.questions += 1
        return bool(self.callers)


class Cached:
    """An authenticator with a clock and a store to move by hand."""

    def __init__(self) -> None:
        self.keys, self.now = Keys(), 100.0
        store: Any = self.keys
        self.auth = Authenticator(store, open_access=False, loopback=True, now=lambda: self.now)

    async def call(self, secret: str | None) -> Caller | None:
        headers = {} if secret is None else {b"authorization": b"Bearer " + secret.encode()}
        try:
            return await self.auth.caller(headers, {"client": ("127.0.0.1", 1)})
        except Unauthenticated:
            return None


async def test_a_known_key_is_asked_for_once_in_a_while_and_a_revoked_one_soon_found_out() -> None:
    cached, secret = Cached(), new_secret()
    cached.keys.callers[digest_of(secret)] = caller = Caller("default", frozenset({Scope.READ}))
    assert [await cached.call(secret) for _ in range(3)] == [caller] * 3
    assert cached.keys.questions == 1
    cached.keys.callers.clear()
    cached.now += FRESH_FOR - 0.1
    assert await cached.call(secret) == caller
    cached.now += 0.1
    assert await cached.call(secret) is None
    assert FRESH_FOR <= 5


async def test_an_unknown_key_is_asked_for_once_in_a_while_and_a_new_one_soon_found() -> None:
    cached, secret = Cached(), new_secret()
    assert [await cached.call(secret) for _ in range(3)] == [None] * 3
    assert cached.keys.questions == 1
    cached.keys.callers[digest_of(secret)] = caller = Caller("default", frozenset({Scope.READ}))
    cached.now += FRESH_FOR
    assert await cached.call(secret) == caller


async def test_the_first_key_closes_the_door_soon() -> None:
    cached = Cached()
    assert await cached.call(None) == Caller("default", frozenset({Scope.ADMIN}))
    cached.keys.callers[digest_of(new_secret())] = Caller("default", frozenset())
    assert await cached.call(None) is not None
    cached.now += FRESH_FOR
    assert await cached.call(None) is None


async def test_what_is_remembered_is_bounded() -> None:
    cached = Cached()
    for _ in range(5000):
        await cached.call(new_secret())
    assert len(cached.auth._callers) <= 4096


async def test_no_key_is_ever_logged(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = await given_key(storage, Scope.READ)
    async with started(storage) as app, client_of(app, key=key) as client:
        await client.get("/v1/jobs")
        await client.post("/v1/jobs", json={"job_type": "report"})
    assert key not in caplog.text


def test_the_store_of_keys_here_has_what_the_port_asks_for() -> None:
    assert {"find", "any_exist"} <= set(dir(KeyStore))
