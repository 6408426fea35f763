"""The database goes away and comes back. The API says so, workers wait, nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from dataqueue.storage.opening import migrate
from tests.acceptance.databases import Mortal
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import LEASE, Api, Worker
from tests.acceptance.ways import way_to

SOON: Final = 2.0
AT_ONCE: Final = 40


@pytest.fixture(scope="module")
def mortal(place: Path) -> Iterator[Mortal]:
    with Mortal(place / "home") as server:
        asyncio.run(migrate(server.url))
        yield server


@pytest.fixture(scope="module")
def api(mortal: Mortal, place: Path) -> Iterator[Api]:
    with Api(mortal.url, log=place / "api.log") as served:
        served.until_ready()
        yield served


@pytest.fixture(scope="module")
def worker(mortal: Mortal, notes: Notes) -> Iterator[Worker]:
    with Worker(mortal.url, notes) as started:
        started.until_ready()
        yield started


@pytest.fixture
def patient(mortal: Mortal, notes: Notes) -> Iterator[Worker]:
    """A worker whose leases outlast an outage."""
    with Worker(mortal.url, notes, name="patient", lease_seconds=30) as started:
        started.until_ready()
        yield started


@pytest.mark.parametrize("how", ["gone", "stalled"])
def test_the_api_says_503_within_two_seconds_and_recovers_by_itself(api: Api, mortal: Mortal, how: str) -> None:
    job_id = api.enqueue("unserved")
    one = f"/v1/jobs/{job_id}"
    asked = [("POST", "/v1/jobs"), ("GET", one), ("GET", "/v1/jobs"), ("GET", f"{one}/events"), ("POST", f"{one}/cancel")]
    # More than there are connections, some of which are broken without anybody knowing it yet.
    asked = [*asked, ("GET", "/readyz"), *[("POST", "/v1/jobs")] * AT_ONCE]
    with mortal.gone() if how == "gone" else mortal.stalled():
        answers = asyncio.run(all_at_once(api.url, [*asked, ("GET", "/healthz")]))
        answers += asyncio.run(all_at_once(api.url, asked))
    for (method, path), answer, seconds in answers:
        assert seconds < SOON, (method, path, seconds, answer)
        if path == "/healthz":
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), (method, path, answer.text)
            assert answer.json()["code"] == "storage_unavailable"
    api.until_ready()
    assert api.job(job_id)["status"] == "pending"
    assert api.http.post(f"{one}/cancel").json()["status"] == "cancelled"


async def all_at_once(
    url: str, requests: list[tuple[str, str]]
) -> list[tuple[tuple[str, str], httpx.Response, float]]:
    """Each request with its answer and the seconds that took."""
    async with httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=None), timeout=30) as client:

        async def ask(method: str, path: str) -> tuple[tuple[str, str], httpx.Response, float]:
            began = time.monotonic()
            body = {"job_type": "unserved"} if (method, path) == ("POST", "/v1/jobs") else None
            answer = await client.request(method, path, json=body)
            return (method, path), answer, time.monotonic() - began

        return list(await asyncio.gather(*(ask(*request) for request in requests)))
