"""`dataqueue tags`, `stats` and `workers`."""

from __future__ import annotations

import pytest

from tests.acceptance.services import Api, Worker
from tests.client.commands.command import Command


def test_tags_are_listed_with_their_jobs_by_status(dataqueue: Command, api: Api, job_type: str) -> None:
    first, *_ = api.enqueue_all([{"job_type": job_type, "tags": [f"{job_type}/a", f"{job_type} b"]}] * 2)
    api.http.post(f"/v1/jobs/{first}/cancel").raise_for_status()
    done = dataqueue("tags", "--prefix", job_type)
    assert (done.code, done.err) == (0, "")
    # tag, total, pending, processing, waiting, completed, failed, cancelled
    assert done.rows == [[f"{job_type}{name}", *"21000 01".replace(" ", "")] for name in (" b", "/a")]
    [one] = dataqueue("tags", f"{job_type}/a", "--json").json
    assert (one["tag"], one["total"], one["counts"]["cancelled"]) == (f"{job_type}/a", 2, 1)


def test_every_tag_is_listed_however_many(dataqueue: Command, api: Api, job_type: str) -> None:
    names = sorted(f"{job_type}:{number:04}" for number in range(1050))
    chunks = [names[at : at + 50] for at in range(0, len(names), 50)]
    api.enqueue_all([{"job_type": job_type, "tags": tags} for tags in chunks])
    assert [row[0] for row in dataqueue("tags", "--prefix", f"{job_type}:").rows] == names


def test_a_tag_that_no_job_has(dataqueue: Command) -> None:
    done = dataqueue("tags", "nobody has it")
    assert (done.code, done.err.startswith("dataqueue: ")) == (1, True)
    assert dataqueue("tags", "--prefix", "nobody has it").code == 0


def test_the_figures_are_names_and_values_or_json(dataqueue: Command, api: Api, job_type: str) -> None:
    api.enqueue(job_type)
    rows = dict(dataqueue("stats").rows)
    assert rows[f"by_type.{job_type}.pending"] == "1"
    assert int(rows["by_status.pending"]) >= 1
    assert float(rows["oldest_ready_age"]) >= 0
    assert int(rows["last_hour.added"]) >= 1
    assert {"last_hour.latency_ms.p50", "by_status.cancelled"} <= rows.keys()
    [stats] = dataqueue("stats", "--json").json
    assert stats["by_type"][job_type]["pending"] == 1


def test_workers_are_listed_and_drained(dataqueue: Command, worker: Worker) -> None:
    [row] = dataqueue("workers").rows
    [listed] = dataqueue("workers", "--json").json
    assert row[:4] == [listed["id"], listed["kind"], "run", "0"]
    assert "fine" in listed["job_types"]
    done = dataqueue("workers", "drain", listed["id"])
    assert (done.code, dict(done.rows)["state"]) == (0, "drain")
    assert dataqueue("workers").rows[0][2] == "drain"


def test_a_worker_that_is_not_there_is_not_drained(dataqueue: Command) -> None:
    done = dataqueue("workers", "drain", "nobody/1")
    assert done.code == 1
    assert done.sentence.startswith("no ")


@pytest.mark.parametrize("arguments", [("workers", "drain"), ("tags", "a", "b"), ("stats", "x")])
def test_what_is_left_out_or_too_much_is_a_usage_error(dataqueue: Command, arguments: tuple[str, ...]) -> None:
    assert dataqueue(*arguments).code == 2
