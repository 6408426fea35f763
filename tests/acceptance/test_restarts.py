"""The database is restarted immediately while a worker runs as fast as it can."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from dataqueue.domain.job import JobStatus
from tests.acceptance.databases import Mortal
from tests.acceptance.looking import ended_in, events_in, jobs_in
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker

JOBS: Final = 20_000


@pytest.mark.timeout(240)
def test_every_job_of_a_drain_completes_once_though_the_database_is_restarted_in_its_midst(
    mortal: Mortal, mortal_database: str, place: Path, notes: Notes
) -> None:
    url = mortal_database
    with Api(url, log=place / "api.log") as api:
        for _ in range(JOBS // 1000):
            api.enqueue_all([{"job_type": "fine"}] * 1000)
    with Worker(url, notes, lease_seconds=5) as worker:
        until(lambda: ended_in(url) > JOBS / 4, "a quarter of the drain", every=0.1)
        mortal.restart_immediately()
        assert JOBS / 4 < ended_in(url) < JOBS * 3 / 4, "it was to be in the midst"
        until(lambda: ended_in(url) == JOBS, "the end of every job", within=120, every=0.2)
        assert not worker.logged("child.died")
        assert worker.stop() == 0
    jobs = jobs_in(url)
    assert len(jobs) == JOBS
    assert Counter((job.status, job.attempts) for job in jobs) == {(JobStatus.COMPLETED, 1): JOBS}
    events: defaultdict[UUID | None, list[str]] = defaultdict(list)
    for event in events_in(url):
        events[event.job_id].append(event.event.removeprefix("job:"))
    histories = Counter((job.crashes, *events[job.id]) for job in jobs)
    for crashes, *history in histories:
        # What was claimed may have been taken back, or given back when the reply to the claim was lost.
        backs = history[2:-2:2]
        assert history == [
            "added",
            *(word for back in backs for word in ("processing", back)),
            "processing",
            "completed",
        ]
        assert set(backs) <= {"reclaimed", "released"}, histories
        assert backs.count("reclaimed") == crashes, histories
    ran = Counter(note.job_id for note in notes)
    assert ran.keys() == {str(job.id) for job in jobs}
