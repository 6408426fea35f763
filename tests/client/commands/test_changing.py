"""`dataqueue jobs cancel` and `retry`."""

from __future__ import annotations

import pytest

from tests.acceptance.notes import Notes
from tests.acceptance.services import Api
from tests.client.commands.command import Command
from tests.client.stub import JOB_ID


def statuses(api: Api, ids: list[str]) -> list[str]:
    return [api.job(job_id)["status"] for job_id in ids]


def test_jobs_are_changed_by_their_ids(dataqueue: Command, api: Api, job_type: str) -> None:
    ids = api.enqueue_all([{"job_type": job_type}] * 3)
    done = dataqueue("jobs", "cancel", *ids[:2])
    assert (done.code, done.err, done.rows) == (0, "", [[ids[0], "cancelled"], [ids[1], "cancelled"]])
    assert statuses(api, ids) == ["cancelled", "cancelled", "pending"]
    done = dataqueue("jobs", "retry", ids[0], "--json")
    assert (done.code, done.json) == (0, [api.job(ids[0])])
    assert statuses(api, ids) == ["pending", "cancelled", "pending"]


@pytest.mark.usefixtures("worker")
def test_a_running_job_is_asked_to_stop(dataqueue: Command, api: Api, notes: Notes) -> None:
    job_id = api.enqueue("waits", {"file": "/nowhere"})
    notes.until(job_id, "started")
    assert dataqueue("jobs", "cancel", job_id).rows == [[job_id, "cancel requested"]]
    api.ended(job_id, status="cancelled")


def test_one_that_is_refused_does_not_keep_the_others_from_it(dataqueue: Command, api: Api, job_type: str) -> None:
    ids = api.enqueue_all([{"job_type": job_type}] * 2)
    done = dataqueue("jobs", "cancel", ids[0], JOB_ID, "nonsense", ids[0], ids[1])
    assert done.code == 1
    assert [row[0] for row in done.rows] == ids
    assert done.err.splitlines() == [
        f"dataqueue: {JOB_ID}: no job {JOB_ID}",
        "dataqueue: nonsense: path.job_id: must be a UUID like 01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61",
        f"dataqueue: {ids[0]}: cannot cancel job {ids[0]}: its status is cancelled",
    ]


def test_jobs_are_changed_by_a_filter(dataqueue: Command, api: Api, job_type: str) -> None:
    ids = api.enqueue_all([{"job_type": job_type, "tags": ["a"]}] * 2 + [{"job_type": job_type}])
    some = ("--type", job_type, "--tag", "a")
    assert dataqueue("jobs", "cancel", *some, "--dry-run").rows == [["matched", "2"], ["changed", "0"]]
    assert statuses(api, ids) == ["pending"] * 3
    done = dataqueue("jobs", "cancel", *some, "--yes")
    assert (done.code, done.err, done.rows) == (0, "", [["matched", "2"], ["changed", "2"]])
    assert statuses(api, ids) == ["cancelled", "cancelled", "pending"]
    [counts] = dataqueue("jobs", "retry", *some, "--status", "cancelled", "-y", "--json").json
    assert counts == {"matched": 2, "changed": 2}
    assert statuses(api, ids) == ["pending"] * 3


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_a_filter_is_not_let_loose_without_a_yes(dataqueue: Command, api: Api, job_type: str, verb: str) -> None:
    job_id = api.enqueue(job_type)
    done = dataqueue("jobs", verb, "--type", job_type)
    found = 1 if verb == "cancel" else 0
    assert done.code == 2
    assert done.sentence.startswith(f"the filter finds {found} job")
    assert "give --yes, or --dry-run" in done.sentence
    assert statuses(api, [job_id]) == ["pending"]


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ((), "say which jobs to cancel: ids, or a filter such as --type or --tag"),
        (("--yes",), "say which jobs to cancel"),
        ((JOB_ID, "--type", "x"), "give ids or a filter, not both"),
        ((JOB_ID, "--dry-run"), "--dry-run counts what a filter finds"),
        (("--tag-mode", "none", "--yes"), "--tag-mode says how"),
    ],
)
def test_which_jobs_must_be_plain(
    dataqueue: Command, api: Api, job_type: str, arguments: tuple[str, ...], saying: str
) -> None:
    job_id = api.enqueue(job_type)
    done = dataqueue("jobs", "cancel", *arguments)
    assert done.code == 2
    assert saying in done.sentence
    assert statuses(api, [job_id]) == ["pending"]
