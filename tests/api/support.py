"""How tests speak to the API, and what every problem must look like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import pytest

from app.errors import Code
from app.main import Api, create_app
from dataqueue.domain.keys import Scope, digest_of, new_secret, shown_prefix
from dataqueue.settings import Settings
from dataqueue.storage.port import Storage

NOBODYS_ID: Final = "01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61"
JSON: Final = {"content-type": "application/json"}
shared = pytest.mark.asyncio(loop_scope="module")
"""For tests with `bystander`: they live on the loop of their module, as it does."""
PROBLEM_FIELDS: Final = {"type", "title", "status", "detail", "code", "request_id"}


@asynccontextmanager
async def started(storage: Storage, **settings: Any) -> AsyncIterator[Api]:
    """The application over that storage, running."""
    app = create_app(Settings(**settings), storage=storage)
    async with app.router.lifespan_context(app):
        yield app


def client_of(app: Api, *, key: str | None = None, client: str = "127.0.0.1") -> httpx.AsyncClient:
    """A caller at that address, with that key."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    # Not raise_app_exceptions=False: whatever gets past the outermost layer fails the test.
    transport = httpx.ASGITransport(app, client=(client, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://queue", headers=headers)


def scope_of(method: str, path: str, query: bytes = b"") -> dict[str, Any]:
    """A request as a server hands it over: for what a client would not show."""
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("queue", 80),
    }  # fmt: skip


async def given_key(storage: Storage, *scopes: Scope, namespace: str = "default") -> str:
    """A key holding these scopes."""
    secret = new_secret()
    await storage.keys.create(
        name="test",
        namespace=namespace,
        scopes=frozenset(scopes),
        digest=digest_of(secret),
        prefix=shown_prefix(secret),
    )
    return secret


async def enqueued(client: httpx.AsyncClient, **fields: Any) -> str:
    """The id of a job just enqueued."""
    response = await client.post("/v1/jobs", json={"job_type": "report", **fields})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def read(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """The job as read."""
    response = await client.get(f"/v1/jobs/{job_id}")
    assert response.status_code == 200, response.text
    job: dict[str, Any] = response.json()
    return job


async def stored(client: httpx.AsyncClient) -> int:
    """How many jobs there are, up to a thousand."""
    response = await client.get("/v1/jobs", params={"limit": 1000})
    assert response.status_code == 200, response.text
    return len(response.json()["data"])


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem in a response, which must be of this kind and well formed."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["code"] == code, found
    assert set(found) - {"errors"} == PROBLEM_FIELDS
    assert found["status"] == status
    assert found["type"] == f"urn:dataqueue:problem:{code}"
    assert found["request_id"] == response.headers["x-request-id"]
    assert {error["code"] for error in found.get("errors", ())} | {code} <= set(Code)
    return found


def places(found: dict[str, Any]) -> list[list[str | int]]:
    """Where a problem says the faults are."""
    return [error["loc"] for error in found["errors"]]


async def eventually(description: str, look: Callable[[], Awaitable[bool] | bool], *, seconds: float = 10) -> None:
    """Look until it is so."""
    async with asyncio.timeout(seconds):
        while True:
            seen = look()
            if seen if isinstance(seen, bool) else await seen:
                return
            await asyncio.sleep(0.005)
    raise AssertionError(f"never saw that {description}")
