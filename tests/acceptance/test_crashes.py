"""Processes die in the middle of their jobs: by a handler's doing, or by somebody else's."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import LEASE, Api, Worker

PROMISED: Final = LEASE + 2


@pytest.fixture
def worker(database: str, notes: Notes) -> Worker:
    return Worker(database, notes)


def test_a_handler_that_kills_its_process_ends_crashed_and_nobody_else_does(
    api: Api, database: str, notes: Notes, place: Path
) -> None:
    file = place / "beside"
    with Worker(database, notes, max_crashes=1) as worker:
        beside = api.enqueue_all([{"job_type": "waits", "payload": {"file": str(file)}}] * 3)
        for job_id in beside:
            notes.until(job_id, "started")
        crashers = api.enqueue_all(
            [{"job_type": name, "dead_letter_job_type": "buried"} for name in ("exits", "kills_itself")]
        )
        worker.until_logged("child.died")
        file.touch()
        for job_id in crashers:
            job = api.ended(job_id, status="failed")
            assert (job["failure_reason"], job["crashes"], job["attempts"]) == ("crashed", 2, 0)
            again = ["processing", "reclaimed"]
            assert api.events(job_id) == ["added", *again, "processing", "failed", "dead_lettered"]
            # One of the two may have been too late for the first process.
            assert len(notes.of(job_id, "started")) in {1, 2}
            assert api.ended(job["dead_letter_job_id"])["output"] == job_id
        for job_id in beside:
            job = api.ended(job_id)
            assert (job["crashes"], job["attempts"]) == (1, 1)
        # What crashed later crashed alone, and took no worker with it.
        assert len(worker.logged("child.died")) == 1
        api.ended(api.enqueue("fine"))
        assert worker.stop() == 0
        assert not worker.family()


def test_jobs_of_a_killed_process_run_again_and_do_not_wait_for_each_other(
    api: Api, worker: Worker, notes: Notes, place: Path
) -> None:
    with worker:
        jobs = given_running(api, notes, place / "killed")
        killed_at = datetime.now(UTC)
        os.kill(worker.child, signal.SIGKILL)
        try:
            for job_id in jobs:
                notes.until(job_id, "started", count=2, within=15)
        finally:
            # Jobs that went on waiting would hold up those of the other tests.
            (place / "killed").touch()
        for job_id in jobs:
            assert_it_was_taken_in_time(api, job_id, killed_at)
        assert not worker.has_ended


def test_jobs_of_a_worker_that_died_as_a_whole_run_again_elsewhere_in_time(
    api: Api, worker: Worker, database: str, notes: Notes, place: Path
) -> None:
    with worker:
        jobs = given_running(api, notes, place / "died")
        with Worker(database, notes, name="other") as other:
            other.until_ready()
            died_at, steady = datetime.now(UTC), time.monotonic()
            worker.end()
            (place / "died").touch()
            assert min(notes.until(job_id, "started", count=2).at for job_id in jobs) - steady < PROMISED
            for job_id in jobs:
                assert_it_was_taken_in_time(api, job_id, died_at)


def test_a_worker_that_loses_its_parent_gives_its_jobs_back_and_ends(
    api: Api, database: str, notes: Notes, place: Path
) -> None:
    with Worker(database, notes, drain_seconds=0.5) as orphaned:
        jobs = given_running(api, notes, place / "orphaned")
        with Worker(database, notes, name="other") as other:
            other.until_ready()
            killed_at = time.monotonic()
            assert orphaned.stop(signal.SIGKILL) == -signal.SIGKILL
            for job_id in jobs:
                assert notes.until(job_id, "started", count=2).at - killed_at < PROMISED
            (place / "orphaned").touch()
            for job_id in jobs:
                job = api.ended(job_id)
                assert (job["output"], job["crashes"], job["attempts"]) == (other.child, 0, 1)
                assert api.events(job_id) == ["added", "processing", "released", "processing", "completed"]
            until(lambda: not orphaned.family(), "the end of the orphan")


def given_running(api: Api, notes: Notes, file: Path) -> list[str]:
    """Jobs that run until the file is there."""
    jobs = api.enqueue_all([{"job_type": "waits", "payload": {"file": str(file)}}] * 3)
    for job_id in jobs:
        notes.until(job_id, "started")
    return jobs


def assert_it_was_taken_in_time(api: Api, job_id: str, lost_at: datetime) -> None:
    """A second time, and done; its crash is counted and its attempt is not."""
    job = api.ended(job_id)
    assert (job["crashes"], job["attempts"]) == (1, 1)
    names, instants = zip(*api.history(job_id), strict=True)
    assert names == ("added", "processing", "reclaimed", "processing", "completed")
    assert (instants[3] - lost_at).total_seconds() < PROMISED
