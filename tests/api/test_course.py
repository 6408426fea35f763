"""Cancel and retry over HTTP (contract 1, details A4 and C5)."""

from __future__ import annotations

import httpx
import pytest

from dataqueue.domain.job import JobStatus
from dataqueue.domain.lifecycle import Verb, allows
from dataqueue.storage.port import Storage
from tests.api.support import JSON, NOBODYS_ID, enqueued, problem
from tests.storage.given import REACHABLE, given_job


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.RETRY])
@pytest.mark.parametrize("status", REACHABLE)
async def test_a_verb_agrees_with_the_lifecycle(
    client: httpx.AsyncClient, storage: Storage, verb: Verb, status: JobStatus
) -> None:
    job = await given_job(storage, status=status)
    response = await client.post(f"/v1/jobs/{job.id}/{verb}")
    if allows(verb, status):
        assert response.status_code == 200, response.text
        now = (await client.get(f"/v1/jobs/{job.id}")).json()
        assert response.json() == now
        assert now["updated_at"] is not None
    else:
        found = problem(response, 409, "illegal_transition")
        assert status.value in found["detail"]
        assert (await storage.jobs("default").get(job.id)) == job


async def test_a_running_job_is_asked_to_stop_and_asking_again_changes_nothing(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    job = await given_job(storage, status=JobStatus.PROCESSING)
    first = await client.post(f"/v1/jobs/{job.id}/cancel")
    assert (first.json()["status"], first.json()["cancel_requested"]) == ("processing", True)
    assert (await client.post(f"/v1/jobs/{job.id}/cancel")).json() == first.json()


async def test_a_retried_job_is_pending_with_an_attempt_left(client: httpx.AsyncClient, storage: Storage) -> None:
    job = await given_job(storage, status=JobStatus.FAILED, max_attempts=1)
    now = (await client.post(f"/v1/jobs/{job.id}/retry")).json()
    assert (now["status"], now["attempts"], now["max_attempts"]) == ("pending", 1, 2)
    assert (now["failure_reason"], now["completed_at"]) == (None, None)
    assert now["last_retried_at"] == "2030-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("body", [b"", b"{}", b" {} "])
async def test_an_empty_body_says_nothing(client: httpx.AsyncClient, body: bytes) -> None:
    job_id = await enqueued(client)
    assert (await client.post(f"/v1/jobs/{job_id}/cancel", content=body)).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"), [(b'{"force":true}', "validation_failed"), (b"{", "invalid_json"), (b"[]", "validation_failed")]
)
async def test_a_body_that_says_something_is_refused(client: httpx.AsyncClient, body: bytes, code: str) -> None:
    job_id = await enqueued(client)
    problem(await client.post(f"/v1/jobs/{job_id}/cancel", content=body, headers=JSON), 422, code)
    assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "pending"


@pytest.mark.parametrize("verb", ["cancel", "retry"])
async def test_a_job_that_is_not_there_is_not_found(client: httpx.AsyncClient, verb: str) -> None:
    problem(await client.post(f"/v1/jobs/{NOBODYS_ID}/{verb}"), 404, "not_found")
