"""A worker that was away for too long changes nothing when it is back; one that is only busy loses nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.acceptance.notes import Notes
from tests.acceptance.services import LEASE, Api, Worker
from tests.acceptance.ways import way_to


def test_a_worker_that_was_stopped_past_its_lease_changes_nothing_when_it_wakes(
    api: Api, database: str, notes: Notes, place: Path
) -> None:
    """One of its jobs is running, the report of another is on its way to the database."""
    now, later = place / "now", place / "later"
    now.touch()
    with way_to(database, place / "way") as way, Worker(way.url, notes, name="stopped") as stopped:
        running = api.enqueue("waits", {"file": str(later)})
        child = notes.until(running, "started").pid
        way.hold("complete")
        reported = api.enqueue("waits", {"file": str(now)})
        assert way.holds.wait(30), "it was to report"
        os.kill(child, signal.SIGSTOP)
        with Worker(database, notes, name="other") as other:
            notes.until(running, "started", count=2)
            later.touch()
            jobs = {job_id: api.ended(job_id) for job_id in (running, reported)}
            way.let_go()
            os.kill(child, signal.SIGCONT)
            for job_id in jobs:
                assert stopped.until_told(job_id) in {"job.lease_ended", "job.lost", "report.dropped"}
            assert other.stop() == 0
        # It is alive and well besides.
        api.ended(api.enqueue("fine"))
        assert stopped.child == child
        assert stopped.stop() == 0
    for job_id, job in jobs.items():
        assert api.job(job_id) == job
        assert job["output"] not in {None, child}
        assert api.events(job_id) == ["added", "processing", "reclaimed", "processing", "completed"]


def test_a_handler_that_blocks_its_loop_for_longer_than_the_lease_keeps_its_job(
    api: Api, database: str, notes: Notes
) -> None:
    with Worker(database, notes, name="busy", concurrency=1) as busy, Worker(database, notes, name="idle") as idle:
        busy.until_ready()
        idle.until_ready()
        job_id = api.enqueue("blocks", {"seconds": LEASE + 1.5})
        job = api.ended(job_id)
        assert job["output"] in {busy.child, idle.child}
    assert (job["attempts"], job["crashes"]) == (1, 0)
    assert api.events(job_id) == ["added", "processing", "completed"]
    assert len(notes.of(job_id, "started")) == 1
