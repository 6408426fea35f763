"""Tokens made and completed over HTTP, and jobs that wait for them."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Reported
from dataqueue.domain.steps import Wait
from dataqueue.storage.port import Storage
from tests.storage.given import NAMESPACE, given_claimed_job

FIELDS: Final = [
    "id", "status", "tags", "job_id", "name", "output", "timeout_at", "created_at", "completed_at", "expired_at"
]  # fmt: skip


async def created(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A token just made."""
    response = await client.post("/v1/tokens", json=fields)
    assert response.status_code == 201, response.text
    token: dict[str, Any] = response.json()
    return token


async def token_of(client: httpx.AsyncClient, token_id: str) -> dict[str, Any]:
    """The token as read."""
    response = await client.get(f"/v1/tokens/{token_id}")
    assert response.status_code == 200, response.text
    token: dict[str, Any] = response.json()
    return token


async def completed(client: httpx.AsyncClient, token_id: str, output: Any = None) -> httpx.Response:
    return await client.post(f"/v1/tokens/{token_id}/complete", json=output)


def path_of(callback_url: str) -> str:
    """The callback URL without its base."""
    url = urlsplit(callback_url)
    return f"{url.path}?{url.query}"


async def given_waiting_job(storage: Storage, token_id: str, **fields: Any) -> ClaimedJob:
    """A job that waits for a token."""
    job = await given_claimed_job(storage, **fields)
    wait = Wait(name="approval", token_id=UUID(token_id))
    assert await storage.jobs(NAMESPACE).suspend([job.lease], waits=[[wait]]) == [Reported.OK]
    return job
