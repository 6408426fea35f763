"""The database goes away and comes back. The API says so, workers wait, nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.acceptance.databases import Mortal
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import LEASE, Api, Worker
from tests.acceptance.ways import way_to

PATIENT: Final = 8.0
"""Seconds: a database that lives and is slow is given more time than one that is gone."""
AT_ONCE: Final = 40
WITHOUT: Final = 3.0
"""How long an outage lasts in which attempts are counted, seconds."""


@pytest.fixture(scope="module")
def api(mortal_database: str, place: Path) -> Iterator[Api]:
    with Api(mortal_database, log=place / "api.log") as served:
        served.until_ready()
        yield served


@pytest.fixture(scope="module")
def patient(mortal_database: str, notes: Notes) -> Iterator[Worker]:
    """A worker of one type, whose leases outlast an outage."""
    with Worker(mortal_database, notes, name="patient", lease_seconds=30, job_types="waits") as started:
        yield started


@pytest.fixture(scope="module")
def hasty(mortal_database: str, notes: Notes) -> Iterator[Worker]:
    """A worker of another type, whose leases end during one."""
    with Worker(mortal_database, notes, name="hasty", job_types="waits_in_thread") as started:
        yield started


@pytest.mark.parametrize(("how", "within"), [("gone", 2.0), ("stalled", PATIENT)])
def test_the_api_says_503_in_time_and_recovers_by_itself(api: Api, mortal: Mortal, how: str, within: float) -> None:
    job_id = api.enqueue("unserved")
    one = f"/v1/jobs/{job_id}"
    asked = [
        ("POST", "/v1/jobs"),
        ("GET", one),
        ("GET", "/v1/jobs"),
        ("GET", f"{one}/events"),
        ("POST", f"{one}/cancel"),
    ]
    # More than there are connections, some of which are broken without anybody knowing it yet.
    asked = [*asked, ("GET", "/readyz"), *[("POST", "/v1/jobs")] * AT_ONCE]
    with mortal.away(how):
        answers = asyncio.run(all_at_once(api.url, [*asked, ("GET", "/healthz")]))
    late = {request: seconds for request, _, seconds in answers if seconds >= within}
    assert not late
    for (method, path), answer, seconds in answers:
        if path == "/healthz":
            assert (answer.status_code, seconds < 1) == (200, True)
        else:
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable"), (method, path)
            assert int(answer.headers["retry-after"]) > 0
    api.until_ready()
    assert api.job(job_id)["status"] == "pending"
    assert api.http.post(f"{one}/cancel").json()["status"] == "cancelled"


@pytest.mark.parametrize("how", ["gone", "stalled"])
def test_handlers_go_on_without_the_database_and_their_reports_wait_for_it(
    api: Api, mortal: Mortal, patient: Worker, notes: Notes, *, place: Path, how: str
) -> None:
    file = place / f"while-{how}"
    jobs = api.enqueue_all([{"job_type": "waits", "payload": {"file": str(file)}}] * 3)
    for job_id in jobs:
        notes.until(job_id, "started")
    child = patient.child
    with mortal.away(how):
        file.touch()
        for job_id in jobs:
            notes.until(job_id, "finished")
        if how == "gone":
            patient.until_logged("reports.waiting", verb="complete")
    for job_id in jobs:
        job = api.ended(job_id)
        assert (job["output"], job["attempts"], job["crashes"]) == (child, 1, 0)
        assert api.events(job_id) == ["added", "processing", "completed"]
        assert not notes.of(job_id, "cancelled")
    assert not patient.logged("report.dropped")
    assert_it_works_on(api, patient, child, "waits", place)


def test_a_handler_whose_lease_ends_in_an_outage_is_told_and_its_job_runs_again(
    api: Api, mortal: Mortal, hasty: Worker, notes: Notes, place: Path
) -> None:
    job_id = api.enqueue("waits_in_thread", {"file": str(place / "afterwards")})
    child = notes.until(job_id, "started").pid
    with mortal.gone():
        gone_at = time.monotonic()
        # By its own clock, and before anybody else could have the job.
        assert notes.until(job_id, "cancelled").at - gone_at < LEASE
    (place / "afterwards").touch()
    job = api.ended(job_id)
    # Taken back for its lease has ended, or given back by the worker, whoever was first.
    (back,) = {"reclaimed", "released"}.intersection(events := api.events(job_id))
    assert events == ["added", "processing", back, "processing", "completed"]
    assert len(notes.of(job_id, "started")) == 2
    assert (job["attempts"], job["crashes"]) == (1, events.count("reclaimed"))
    assert_it_works_on(api, hasty, child, "waits_in_thread", place)


def test_a_worker_tries_again_until_the_database_is_there_and_never_in_a_hurry(
    api: Api, mortal_database: str, notes: Notes, place: Path
) -> None:
    with (
        way_to(mortal_database, place / "way") as way,
        Worker(way.url, notes, name="cut-off", job_types="fine") as worker,
    ):
        worker.until_ready()
        child = worker.child
        way.shut()
        ends = time.monotonic() + WITHOUT
        until(lambda: time.monotonic() > ends, "the end of the outage")
        way.open()
        assert WITHOUT < len(way.refused) < 20 * WITHOUT
        for job_id in api.enqueue_all([{"job_type": "fine"}] * 20):
            api.ended(job_id)
        worker.until_logged("claims.recovered")
        assert worker.child == child


def assert_it_works_on(api: Api, worker: Worker, child: int, job_type: str, place: Path) -> None:
    """A worker does its work in the process in which it did it before."""
    (place / "now").touch()
    assert api.ended(api.enqueue(job_type, {"file": str(place / "now")}))["output"] == child
    assert not worker.logged("child.died")


async def all_at_once(url: str, requests: list[tuple[str, str]]) -> list[tuple[tuple[str, str], httpx.Response, float]]:
    """Each request with its answer and the seconds that took."""
    async with httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=None), timeout=30) as client:

        async def ask(method: str, path: str) -> tuple[tuple[str, str], httpx.Response, float]:
            began = time.monotonic()
            body = {"job_type": "unserved"} if (method, path) == ("POST", "/v1/jobs") else None
            answer = await client.request(method, path, json=body)
            return (method, path), answer, time.monotonic() - began

        return list(await asyncio.gather(*(ask(*request) for request in requests)))
