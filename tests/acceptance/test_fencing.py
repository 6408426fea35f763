"""A worker that was away for too long changes nothing when it is back; one that is only busy loses nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import LEASE, Api, Worker
from tests.acceptance.ways import way_to

TAKEN_OVER = ["added", "processing", "reclaimed", "processing", "completed"]


def test_a_worker_that_was_stopped_past_its_lease_changes_nothing_when_it_wakes(
    api: Api, database: str, notes: Notes, place: Path
) -> None:
    with Worker(database, notes, name="stopped") as stopped:
        job_id = api.enqueue("waits", {"file": str(place / "woken")})
        child = notes.until(job_id, "started").pid
        with Worker(database, notes, name="other") as other:
            other.until_ready()
            os.kill(child, signal.SIGSTOP)
            notes.until(job_id, "started", count=2)
            (place / "woken").touch()
            job = api.ended(job_id)
            os.kill(child, signal.SIGCONT)
            # Whether its handler is told so, or the handler's report is, hangs on who of them wakes first.
            told, *_ = until(lambda: stopped.logged(job_id=job_id), "the news that the job is lost")
            assert told["event"] in {"job.lease_ended", "job.lost", "report.dropped"}
            # It is alive and well besides.
            assert other.stop() == 0
            api.ended(api.enqueue("fine"))
            assert stopped.child == child
        assert stopped.stop() == 0
    assert api.job(job_id) == job
    assert job["output"] != child
    assert api.events(job_id) == TAKEN_OVER


def test_a_report_that_arrives_after_the_lease_was_taken_is_refused(
    api: Api, database: str, notes: Notes, place: Path
) -> None:
    (place / "late").touch()
    with way_to(database, place / "way") as way, Worker(way.url, notes, name="late") as late:
        late.until_ready()
        way.hold_when("job:completed")
        job_id = api.enqueue("waits", {"file": str(place / "late")})
        assert way.holds.wait(30)
        [first] = notes.of(job_id, "finished")
        os.kill(first.pid, signal.SIGSTOP)
        with Worker(database, notes, name="other") as other:
            job = api.ended(job_id)
            way.let_go()
            os.kill(first.pid, signal.SIGCONT)
            assert late.until_logged("job.lost", verb="complete")["job_id"] == job_id
            assert other.stop() == 0
        assert late.stop() == 0
    assert api.job(job_id) == job
    assert job["output"] not in {None, first.pid}
    assert api.events(job_id) == TAKEN_OVER


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
