"""`dataqueue jobs list`."""

from __future__ import annotations

from typing import Final

import pytest

from tests.acceptance.services import Api
from tests.client.commands.command import Command

COLUMNS: Final = (
    "id", "job_type", "status", "pending_reason", "attempts", "max_attempts", "priority", "run_at", "created_at",
    "tags",
)  # fmt: skip


def test_jobs_are_lines_of_columns_newest_first(dataqueue: Command, api: Api, job_type: str) -> None:
    ids = [
        api.enqueue(job_type, tags=["a\tb", "\x1b[31mred"], priority=3),
        api.enqueue(job_type, delay="1h", max_attempts=1),
    ]
    done = dataqueue("jobs", "list", "--type", job_type)
    assert (done.code, done.err) == (0, "")
    newer, older = (dict(zip(COLUMNS, row, strict=True)) for row in done.rows)
    assert [newer["id"], older["id"]] == ids[::-1]
    job = api.job(ids[0])
    assert older == {
        "id": ids[0], "job_type": job_type, "status": "pending", "pending_reason": "", "attempts": "0",
        "max_attempts": "3", "priority": "3", "run_at": job["run_at"], "created_at": job["created_at"],
        "tags": r'["a\tb","\u001b[31mred"]',
    }  # fmt: skip
    assert (newer["pending_reason"], newer["max_attempts"], newer["tags"]) == ("scheduled", "1", "[]")


def test_json_is_a_job_a_line_as_it_is_read(dataqueue: Command, api: Api, job_type: str) -> None:
    ids = [api.enqueue(job_type, {"text": "\x1b\x7f\u009b ä"}) for _ in range(2)]
    done = dataqueue("jobs", "list", "--type", job_type, "--json")
    assert done.json == [api.job(job_id) for job_id in reversed(ids)]
    assert done.out.isprintable() is False
    assert not {"\x1b", "\x7f", "\u009b"} & set(done.out)
    assert "ä" in done.out


def test_options_narrow_each_other(dataqueue: Command, api: Api, job_type: str) -> None:
    first = api.enqueue(job_type, tags=["x", "y"], priority=1, run_at="2030-01-01T00:00:00Z")
    second = api.enqueue(job_type, tags=["x"], priority=2, run_at="2031-01-01T00:00:00Z")
    third = api.enqueue(job_type)
    api.http.post(f"/v1/jobs/{third}/cancel").raise_for_status()
    created = api.job(second)["created_at"]
    every = [first, second, third]

    def found(*options: str) -> list[str]:
        done = dataqueue("jobs", "list", "--type", job_type, *options)
        assert (done.code, done.err) == (0, "")
        return [every[every.index(row[0])] for row in reversed(done.rows)]

    assert found() == every
    assert found("--type", "other") == every
    assert found("--status", "cancelled") == [third]
    assert found("-s", "cancelled", "-s", "pending") == every
    assert found("--tag", "x") == [first, second]
    assert found("-t", "x", "-t", "y") == [first]
    assert found("--tag", "x", "--tag", "y", "--tag-mode", "any") == [first, second]
    assert found("--tag", "x", "--tag-mode", "exact") == [second]
    assert found("--tag", "x", "--tag-mode", "none") == [third]
    assert found("--priority", "2") == [second]
    assert found("--group", "nobody") == []
    assert found("--cron", first) == []
    assert found("--run-after", "2030-01-01T01:00:00+01:00", "--run-before", "2031-01-01T00:00:00Z") == [first]
    assert found("--created-before", created) == [first]
    assert found("--created-after", created) == [second, third]


def test_a_limit_ends_the_list_and_all_of_it_is_every_page(dataqueue: Command, api: Api, job_type: str) -> None:
    ids = [job_id for _ in range(2) for job_id in api.enqueue_all([{"job_type": job_type}] * 600)]
    mine = ("jobs", "list", "--type", job_type)
    assert [row[0] for row in dataqueue(*mine).rows] == ids[:-51:-1]
    assert [row[0] for row in dataqueue(*mine, "--limit", "2").rows] == ids[:-3:-1]
    assert [row[0] for row in dataqueue(*mine, "-n", "1100").rows] == ids[:-1101:-1]
    assert [row[0] for row in dataqueue(*mine, "--all").rows] == ids[::-1]
    assert [job["id"] for job in dataqueue(*mine, "--all", "--json").json] == ids[::-1]


def test_nothing_found_is_no_line_and_no_failure(dataqueue: Command, job_type: str) -> None:
    for option in ((), ("--json",)):
        done = dataqueue("jobs", "list", "--type", job_type, *option)
        assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        (("--all", "--limit", "3"), "--all and --limit contradict each other"),
        (("--tag-mode", "any"), "--tag-mode says how several --tag count"),
        (("--created-after", "yesterday"), "--created-after: must be an instant with its offset"),
        (("--created-before", "2026-11-24"), "--created-before: must be an instant with its offset"),
        (("--run-after", "1h"), "--run-after: must be an instant with its offset"),
        (("--run-before", ""), "--run-before: must be an instant with its offset"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(dataqueue: Command, options: tuple[str, ...], saying: str) -> None:
    done = dataqueue("jobs", "list", *options)
    assert done.code == 2
    assert saying in done.sentence


@pytest.mark.parametrize("options", [("--status", "lost"), ("--limit", "0"), ("--priority", "high"), ("--sort", "id")])
def test_an_option_that_is_not_understood_is_one_too(dataqueue: Command, options: tuple[str, ...]) -> None:
    done = dataqueue("jobs", "list", *options)
    assert (done.code, done.out) == (2, "")
    assert options[0] in done.err


def test_what_the_service_refuses_is_said_in_its_words(dataqueue: Command) -> None:
    done = dataqueue("jobs", "list", "--type", "not a name")
    assert done.code == 1
    assert "query.job_type" in done.sentence
