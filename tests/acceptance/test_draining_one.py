"""One of several workers is drained over HTTP: it finishes what it holds, takes nothing more, and stays."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker


def workers(api: Api) -> list[dict[str, Any]]:
    return list(api.http.get("/v1/workers").raise_for_status().json()["data"])


def test_a_drained_worker_finishes_takes_nothing_and_stays_until_it_is_restarted(
    api: Api, database: str, notes: Notes, place: Path
) -> None:
    file = place / "finish"
    with Worker(database, notes) as worker:
        worker.until_ready()
        [seen] = until(lambda: workers(api), "a worker that is seen")
        assert (seen["kind"], seen["state"], seen["jobs_held"]) == ("python", "run", 0)
        assert "waits" in seen["job_types"]

        held = api.enqueue("waits", {"file": str(file)})
        notes.until(held, "started")
        drained = api.http.post(f"/v1/workers/{seen['id']}/drain").raise_for_status().json()
        assert (drained["state"], drained["jobs_held"]) == ("drain", 1)
        worker.until_logged("worker.draining")
        late = api.enqueue_all([{"job_type": "fine"}] * 3)
        file.touch()
        assert api.ended(held)["attempts"] == 1
        assert api.job(held)["locked_by"] is None
        until(lambda: workers(api)[0]["jobs_held"] == 0, "a worker that holds nothing")
        assert [(one["id"], one["state"]) for one in workers(api)] == [(seen["id"], "drain")]

        # Another one takes what it left, and it is not asked.
        with Worker(database, notes, name="second") as second:
            second.until_ready()
            for job_id in late:
                api.ended(job_id)
            child = worker.child
            assert {note.pid for job_id in late for note in notes.of(job_id, "started")}.isdisjoint({child})
            second.send(signal.SIGTERM)
            assert second.exit_code() == 0
        assert [one["id"] for one in workers(api)] == [seen["id"]]
        worker.send(signal.SIGTERM)
        assert worker.exit_code() == 0
    assert workers(api) == []
    with Worker(database, notes, name="again") as again:
        again.until_ready()
        api.ended(api.enqueue("fine"))
        [one] = until(lambda: workers(api), "the worker that was restarted")
        assert one["state"] == "run"
        assert one["id"] != seen["id"]
