"""What becomes of a job when its handler does well, badly or too long, by way of the API and a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.handlers import NOT_JSON
from tests.acceptance.notes import Notes
from tests.acceptance.services import Api, Worker

_numbers = count()


@pytest.fixture(scope="module", autouse=True)
def worker(api: Api, database: str, notes: Notes) -> Iterator[Worker]:
    """With leases as long as they are by default: nothing here may wait for a heartbeat."""
    with Worker(database, notes, lease_seconds=30) as started:
        started.until_ready()
        yield started


@pytest.fixture
def never(place: Path) -> str:
    """The name of a file that nobody makes."""
    return str(place / f"never-{next(_numbers)}")


def test_an_output_that_cannot_be_json_fails_its_own_job_once(api: Api, notes: Notes) -> None:
    bad, good = [], []
    for kind in NOT_JSON:
        bad.append({"job_type": "not_json", "payload": {"kind": kind}, "max_attempts": 5})
        good.append({"job_type": "fine", "payload": kind})
    ids = api.enqueue_all([*bad, *good])
    for job_id, kind in zip(ids[len(bad) :], NOT_JSON, strict=True):
        assert api.ended(job_id)["output"] == kind
    for job_id in ids[: len(bad)]:
        job = api.ended(job_id, status="failed")
        [error] = job["error_history"]
        assert error["message"].startswith(("the output cannot be JSON: ", "the output holds a ")), job
        assert (error["type"], job["failure_reason"], job["attempts"]) == ("InvalidOutput", "handler_error", 1)
        assert api.events(job_id) == ["added", "processing", "failed"]
        assert len(notes.of(job_id, "started")) == 1


@pytest.mark.parametrize("job_type", ["waits", "waits_in_thread"])
def test_a_cancel_reaches_a_running_handler_within_two_seconds(
    api: Api, notes: Notes, never: str, job_type: str
) -> None:
    job_id = api.enqueue(job_type, {"file": never})
    notes.until(job_id, "started")
    asked_at = time.monotonic()
    assert api.http.post(f"/v1/jobs/{job_id}/cancel").json()["cancel_requested"] is True
    assert notes.until(job_id, "cancelled").at - asked_at < 2
    api.ended(job_id, status="cancelled")
    assert api.events(job_id) == ["added", "processing", "cancelled"]


def test_a_handler_that_takes_too_long_is_stopped_and_the_attempt_counts(api: Api, notes: Notes, never: str) -> None:
    policy = {"timeout_ms": 300, "max_attempts": 2, "retry_delay": 0.1, "retry_backoff": False}
    both = [{"job_type": name, "payload": {"file": never}, **policy} for name in ("waits", "waits_in_thread")]
    for job_id in api.enqueue_all(both):
        job = api.ended(job_id, status="failed")
        assert (job["failure_reason"], job["attempts"], job["crashes"]) == ("timeout", 2, 0)
        assert [error["message"] for error in job["error_history"]] == ["timed out after 300 ms"] * 2
        assert api.events(job_id) == ["added", "processing", "failed", "processing", "failed"]
        notes.until(job_id, "cancelled", count=2)
        for started, told in zip(notes.of(job_id, "started"), notes.of(job_id, "cancelled"), strict=True):
            assert 0.25 < told.at - started.at < 2


def test_a_type_that_nobody_serves_is_left_alone(api: Api, worker: Worker) -> None:
    unserved = api.enqueue("unserved", {"a": 1})
    before = api.job(unserved)
    for _ in range(10):  # the low-water mark of a claim is left out now and then
        api.ended(api.enqueue("fine"))
    assert api.job(unserved) == before
    assert (before["status"], before["attempts"], before["pending_reason"]) == ("pending", 0, None)
    assert api.events(unserved) == ["added"]
    assert not worker.has_ended
