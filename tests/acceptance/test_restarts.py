"""The database is restarted immediately while a worker runs as fast as it can."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.databases import Mortal
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker, look

JOBS: Final = 20_000
ENDED: Final = "select count(*) from dataqueue.job where status in ('completed', 'failed', 'cancelled')"
FACTS: Final = """
    select j.status, j.attempts, j.crashes, count(e.id) filter (where e.name = 'job:completed') as completed,
        count(e.id) filter (where e.name = 'job:processing') as claimed,
        count(e.id) filter (where e.name = 'job:reclaimed') as reclaimed, count(e.id) as events, j.id
    from dataqueue.job j left join dataqueue.event e on e.job_id = j.id group by j.id"""


@pytest.mark.timeout(240)
def test_every_job_of_a_drain_completes_once_though_the_database_is_restarted_in_its_midst(
    mortal: Mortal, mortal_database: str, place: Path, notes: Notes
) -> None:
    url = mortal_database
    with Api(url, log=place / "api.log") as api:
        for _ in range(JOBS // 1000):
            api.enqueue_all([{"job_type": "fine"}] * 1000)
    with Worker(url, notes, lease_seconds=5) as worker:
        until(lambda: ended(url) > JOBS / 4, "a quarter of the drain", every=0.1)
        mortal.restart_immediately()
        assert JOBS / 4 < ended(url) < JOBS * 3 / 4, "it was to be in the midst"
        until(lambda: ended(url) == JOBS, "the end of every job", within=120, every=0.2)
        assert not worker.logged("child.died")
        assert worker.stop() == 0
    facts = look(url, FACTS)
    assert len(facts) == JOBS
    assert Counter(fact["status"] for fact in facts) == {"completed": JOBS}
    assert Counter(fact["completed"] for fact in facts) == {1: JOBS}
    assert Counter(fact["attempts"] for fact in facts) == {1: JOBS}
    for fact in facts:
        assert fact["claimed"] == 1 + fact["reclaimed"] == 1 + fact["crashes"]
        assert fact["events"] == 2 + fact["claimed"] + fact["reclaimed"]
    ran = Counter(note.job_id for note in notes)
    assert ran.keys() == {str(fact["id"]) for fact in facts}


def ended(url: str) -> int:
    return int(look(url, ENDED)[0]["count"])
