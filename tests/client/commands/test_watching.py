"""`dataqueue jobs watch`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.notes import Notes
from tests.acceptance.services import Api
from tests.client.commands.command import Command, Terminal, started
from tests.client.stub import JOB_ID


@pytest.mark.usefixtures("worker")
def test_what_happened_to_a_job_that_has_ended_is_told_at_once(dataqueue: Command, api: Api) -> None:
    job_id = api.enqueue("fine", 1)
    api.ended(job_id)
    done = dataqueue("jobs", "watch", job_id)
    assert (done.code, done.err) == (0, "")
    assert [row[1] for row in done.rows] == ["job:added", "job:processing", "job:completed"]
    history = api.http.get(f"/v1/jobs/{job_id}/events").json()["data"]
    assert [row[0] for row in done.rows] == [event["at"] for event in history]
    assert done.rows[2][2] == '{"attempt":1}'
    assert dataqueue("jobs", "watch", job_id, "--json").json == history


@pytest.mark.usefixtures("worker")
def test_a_job_that_failed_is_exit_code_1(dataqueue: Command, api: Api) -> None:
    job_id = api.enqueue("not_json", {"kind": "object"}, max_attempts=1)
    done = dataqueue("jobs", "watch", job_id)
    assert (done.code, done.rows[-1][1]) == (1, "job:failed")


@pytest.mark.usefixtures("worker")
def test_events_are_told_when_they_come_each_once_and_the_end_ends_it(api: Api, notes: Notes, tmp_path: Path) -> None:
    job_id = api.enqueue("waits", {"file": str(tmp_path / "now")})
    notes.until(job_id, "started")
    watching = started("jobs", "watch", job_id, url=api.url)
    assert watching.stdout is not None
    assert [watching.stdout.readline().split(b"\t")[1] for _ in range(2)] == [b"job:added", b"job:processing"]
    (tmp_path / "now").touch()
    rest, err = watching.communicate(timeout=60)
    assert [line.split(b"\t")[1] for line in rest.splitlines()] == [b"job:completed"]
    assert (watching.returncode, err) == (0, b"")


def test_ctrl_c_ends_the_watching_without_a_word(api: Api, job_type: str) -> None:
    watching = Terminal("jobs", "watch", job_id := api.enqueue(job_type), url=api.url)
    watching.until("job:added")
    watching.types("\x03")
    assert watching.code() == 130
    assert watching.seen.splitlines()[1:] in ([], ["^C"])
    assert api.job(job_id)["status"] == "pending"


def test_a_job_that_is_not_there_is_not_watched(dataqueue: Command) -> None:
    done = dataqueue("jobs", "watch", JOB_ID)
    assert (done.code, done.sentence) == (1, f"no job {JOB_ID}")
