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
    select j.id, j.status, j.attempts, j.crashes, array_agg(substr(e.name, 5) order by e.id) as events
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
    assert Counter((fact["status"], fact["attempts"]) for fact in facts) == {("completed", 1): JOBS}
    histories = Counter((fact["crashes"], *fact["events"]) for fact in facts)
    for crashes, *events in histories:
        # What was claimed may have been taken back, or given back when the reply to the claim was lost.
        backs = events[2:-2:2]
        assert events == [
            "added",
            *(word for back in backs for word in ("processing", back)),
            "processing",
            "completed",
        ]
        assert set(backs) <= {"reclaimed", "released"}, histories
        assert backs.count("reclaimed") == crashes, histories
    ran = Counter(note.job_id for note in notes)
    assert ran.keys() == {str(fact["id"]) for fact in facts}


def ended(url: str) -> int:
    return int(look(url, ENDED)[0]["count"])
