"""Processes die in the middle of their jobs: by a handler's doing, or by somebody else's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]
import pytest

from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import LEASE, Api, Worker

PROMISED: Final = LEASE + 2


@pytest.fixture
def worker(database: str, notes: Notes) -> Worker:
    return Worker(database, notes)


def test_a_handler_that_kills_its_process_ends_crashed_and_nobody_else_does(
    api: Api, worker: Worker, notes: Notes, place: Path
) -> None:
    file = place / "beside"
    with worker:
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
            assert (job["failure_reason"], job["crashes"], job["attempts"]) == ("crashed", 4, 0)
            again = ["processing", "reclaimed"] * 3
            assert api.events(job_id) == ["added", *again, "processing", "failed", "dead_lettered"]
            assert len(notes.of(job_id, "started")) in {3, 4}  # the other may have been first to end the process of both
            assert api.ended(job["dead_letter_job_id"])["output"] == job_id
        for job_id in beside:
            job = api.ended(job_id)
            assert (job["crashes"], job["attempts"]) == (1, 1)
        # What crashed later crashed alone, and took no worker with it.
        assert len(worker.logged("child.died")) == 1
        api.ended(api.enqueue("fine"))
        assert worker.stop() == 0
        assert not worker.family()


def test_jobs_of_a_killed_process_run_again_within_lease_and_two_seconds(
    api: Api, worker: Worker, notes: Notes, place: Path
) -> None:
    with worker:
        jobs = given_running(api, notes, place / "killed")
        killed_at = time.monotonic()
        os.kill(worker.child, signal.SIGKILL)
        (place / "killed").touch()
        assert_they_run_again(api, notes, jobs, by=killed_at + PROMISED)
        assert not worker.has_ended


def test_jobs_of_a_worker_that_died_as_a_whole_run_again_elsewhere_in_time(
    api: Api, worker: Worker, database: str, notes: Notes, place: Path
) -> None:
    with worker:
        jobs = given_running(api, notes, place / "died")
        with Worker(database, notes, name="other") as other:
            other.until_ready()
            killed_at = time.monotonic()
            worker.end()
            (place / "died").touch()
            assert_they_run_again(api, notes, jobs, by=killed_at + PROMISED)


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


def assert_they_run_again(api: Api, notes: Notes, jobs: list[str], *, by: float) -> None:
    for job_id in jobs:
        print(notes.until(job_id, "started", count=2).at-by)
        job = api.ended(job_id)
        assert (job["crashes"], job["attempts"]) == (1, 1)
        assert api.events(job_id) == ["added", "processing", "reclaimed", "processing", "completed"]
