"""SIGTERM: what is under way ends well, what cannot end is given back, what was acknowledged is there."""

from __future__ import annotations

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Final

import httpx

from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus
from tests.acceptance.looking import jobs_in
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker
from tests.acceptance.ways import way_to

CALLERS: Final = 8
ENOUGH: Final = 300
DRAIN: Final = 2.0


def test_a_worker_finishes_what_it_can_gives_back_the_rest_and_leaves_with_0(
    api: Api, database: str, notes: Notes, place: Path
) -> None:
    soon, never = place / "soon", place / "never"
    with Worker(database, notes, drain_seconds=DRAIN) as worker:
        jobs = api.enqueue_all(
            [
                {"job_type": job_type, "payload": {"file": str(file)}}
                for file in (soon, never)
                for job_type in ("waits", "waits", "waits_in_thread")
            ]
        )
        for job_id in jobs:
            notes.until(job_id, "started")
        worker.send(signal.SIGTERM)
        asked_at = time.monotonic()
        worker.until_logged("worker.stopping")
        late = api.enqueue("fine")
        soon.touch()
        for job_id in jobs[:3]:
            job = api.ended(job_id)
            assert (job["attempts"], api.events(job_id)) == (1, ["added", "processing", "completed"])
        assert worker.exit_code() == 0
        assert time.monotonic() - asked_at > DRAIN
        assert not worker.family()
    for job_id in jobs[3:]:
        job = api.job(job_id)
        assert (job["status"], job["attempts"], job["crashes"], job["locked_by"]) == ("pending", 0, 0, None)
        assert api.events(job_id) == ["added", "processing", "released"]
        assert len(notes.of(job_id, "cancelled")) == 1
    assert (api.job(late)["status"], api.events(late)) == ("pending", ["added"])


def test_an_api_under_load_loses_no_job_that_it_has_acknowledged(database: str, place: Path) -> None:
    numbers, acknowledged = count(), list[str]()
    # The API is inside: should this fail, its end is what ends the callers.
    with ThreadPoolExecutor(CALLERS + 1) as callers, Api(database, log=place / "loaded.log") as api:
        api.until_ready()
        waited_for = api.enqueue("unserved")
        waiting = callers.submit(api.http.get, f"/v1/jobs/{waited_for}", params={"wait": "60s"})
        loads = [callers.submit(load, api.url, numbers, acknowledged) for _ in range(CALLERS)]
        until(lambda: len(acknowledged) > ENOUGH, "a load of requests")
        assert not waiting.done()
        asked_at = time.monotonic()
        assert api.stop() == 0
        assert time.monotonic() - asked_at < 5
        # Whoever waits for a job is answered with the job as it is.
        assert waiting.result().json()["status"] == "pending"
        others = Counter(status for one in loads for status in one.result())
        assert set(others) <= {503}, others
        assert not api.family()
    assert len(set(acknowledged)) == len(acknowledged) > ENOUGH
    pending = jobs_in(database, JobFilter(statuses=(JobStatus.PENDING,)))
    assert set(acknowledged) <= {str(job.id) for job in pending}


def test_an_api_ends_though_its_database_answers_no_more(database: str, place: Path) -> None:
    with way_to(database, place / "way") as way, Api(way.url, log=place / "unanswered.log") as api:
        api.until_ready()
        api.enqueue("unserved", delay=0.5)
        # Only now: it may look at any time, and to hold that holds everything else.
        way.hold("stage")
        assert way.holds.wait(30), "it was to look for what is due"
        assert api.stop(within=20) == 0
        assert not api.family()


def load(url: str, numbers: count[int], acknowledged: list[str]) -> list[int]:
    """Enqueue one after the other until nobody listens any more; the statuses that were no 201."""
    others: list[int] = []
    with httpx.Client(timeout=30) as client:
        while True:
            try:
                answer = client.post(f"{url}/v1/jobs", json={"job_type": "unserved", "payload": next(numbers)})
            except httpx.TransportError:
                return others
            if answer.status_code == 201:
                acknowledged.append(answer.json()["id"])
            else:
                others.append(answer.status_code)
