"""`dataqueue jobs import`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.services import Api
from tests.client.commands.command import Command, started
from workers import cli_jobs_import


def ndjson(*jobs: Any) -> bytes:
    return b"".join((job if isinstance(job, bytes) else json.dumps(job).encode()) + b"\n" for job in jobs)


def stored(api: Api, job_type: str) -> list[Any]:
    """The payloads of all jobs of a type, oldest first."""
    page = api.http.get("/v1/jobs", params={"job_type": job_type, "limit": 1000}).json()["data"]
    return [job["payload"] for job in reversed(page)]


def test_a_file_is_imported_and_summed_up(dataqueue: Command, api: Api, job_type: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.ndjson"
    file.write_bytes(ndjson(*({"job_type": job_type, "payload": number} for number in range(3))).rstrip())
    done = dataqueue("jobs", "import", str(file))
    assert (done.code, done.out, done.err) == (0, "", "3 lines: 3 created, 0 existing, 0 rejected\n")
    assert stored(api, job_type) == [0, 1, 2]


def test_rejected_lines_are_named_and_the_others_are_stored(dataqueue: Command, api: Api, job_type: str) -> None:
    good = {"job_type": job_type, "payload": 1}
    lines = ndjson(good, b"nonsense", b"", {"job_type": job_type, "colour": 1}, good)
    done = dataqueue("jobs", "import", "-", stdin=lines)
    assert done.code == 1
    assert [row[:2] for row in done.rows] == [["2", "invalid_json"], ["4", "validation_failed"]]
    assert done.rows[1][2].startswith("body.colour: ")
    assert done.err == "4 lines: 2 created, 0 existing, 2 rejected\n"
    assert stored(api, job_type) == [1, 1]


def test_json_is_every_answer_and_the_sum(dataqueue: Command, job_type: str) -> None:
    done = dataqueue("jobs", "import", "-", "--json", stdin=ndjson({"job_type": job_type}, b"nonsense"))
    first, second, last = done.json
    assert (first["line"], first["created"]) == (1, True)
    assert (second["line"], second["error"]["code"]) == (2, "invalid_json")
    assert last == {"summary": {"lines": 2, "created": 1, "existing": 0, "rejected": 1}}
    assert (done.code, done.err) == (1, "")


def test_importing_again_doubles_no_job_with_an_idempotency_key(dataqueue: Command, api: Api, job_type: str) -> None:
    lines = ndjson(*({"job_type": job_type, "idempotency_key": f"{job_type}-{n}", "payload": n} for n in range(3)))
    dataqueue("jobs", "import", "-", stdin=lines)
    done = dataqueue("jobs", "import", "-", stdin=lines)
    assert (done.code, done.err) == (0, "3 lines: 0 created, 3 existing, 0 rejected\n")
    assert stored(api, job_type) == [0, 1, 2]


def test_nothing_is_nothing(dataqueue: Command) -> None:
    done = dataqueue("jobs", "import", "-", stdin=b"")
    assert (done.code, done.out, done.err) == (0, "", "0 lines: 0 created, 0 existing, 0 rejected\n")


def test_a_long_file_is_imported_whole_and_in_order(dataqueue: Command, api: Api, job_type: str) -> None:
    lines = ndjson(*({"job_type": job_type, "payload": number} for number in range(2300)))
    done = dataqueue("jobs", "import", "-", "--json", stdin=lines)
    assert [answer["line"] for answer in done.json[:-1]] == list(range(1, 2301))
    assert done.json[-1]["summary"]["created"] == 2300
    assert stored(api, job_type) == list(range(1300, 2300))


def test_a_line_without_end_is_not_read_to_its_end(
    dataqueue: Command, api: Api, job_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_jobs_import, "LONGEST_LINE", 100)
    array = json.dumps([{"job_type": job_type}] * 10).encode()
    done = dataqueue("jobs", "import", "-", stdin=ndjson({"job_type": job_type}, array))
    assert done.code == 2
    told, why = done.err.splitlines()
    assert told.startswith("Cut off after line 0: 0 lines were answered")
    assert why.startswith("dataqueue: line 2 is longer than 16 MiB: one job a line; a JSON array is no NDJSON")
    assert stored(api, job_type) == []


@pytest.mark.parametrize(("file", "saying"), [("/nowhere", "No such file"), ("/tmp", "Is a directory")])
def test_a_file_that_cannot_be_read_is_a_usage_error(dataqueue: Command, file: str, saying: str) -> None:
    done = dataqueue("jobs", "import", file)
    assert done.code == 2
    assert done.sentence == f"cannot read {file}: {saying}" + (" or directory" if file == "/nowhere" else "")


def test_an_import_that_is_cut_off_says_where_and_goes_on_when_it_is_repeated(
    another_storage: Callable[[], str], place: Path, job_type: str
) -> None:
    """The service is killed in its midst: what it had answered is there, and nothing is there twice."""
    database = another_storage()
    lines = [ndjson({"job_type": job_type, "idempotency_key": str(number)}) for number in range(1500)]
    with Api(database, log=place / "first.log") as api:
        api.until_ready()
        importing = started("jobs", "import", "-", "--json", url=api.url)
        assert importing.stdin is not None
        assert importing.stdout is not None
        importing.stdin.write(b"".join(lines[:1000]))
        importing.stdin.flush()
        answers = [json.loads(importing.stdout.readline()) for _ in range(1000)]
        assert [answer["line"] for answer in answers] == list(range(1, 1001))
    out, err = importing.communicate(b"".join(lines[1000:]), timeout=60)
    assert (importing.returncode, out) == (1, b"")
    told, why = err.decode().splitlines()
    assert told.startswith("Cut off after line 1000: 1000 lines were answered, 0 of them rejected.")
    assert "Import the same lines again: jobs with an idempotency_key are not doubled." in told
    assert why.startswith(f"dataqueue: {api.url} gave no answer: ")
    with Api(database, log=place / "second.log") as api:
        api.until_ready()
        again = started("jobs", "import", "-", url=api.url)
        out, err = again.communicate(b"".join(lines), timeout=60)
        assert (again.returncode, out, err) == (0, b"", b"1500 lines: 500 created, 1000 existing, 0 rejected\n")


def test_ctrl_c_says_how_far_it_got(api: Api, job_type: str) -> None:
    importing = started("jobs", "import", "-", "--json", url=api.url)
    assert importing.stdin is not None
    assert importing.stdout is not None
    importing.stdin.write(ndjson(*[{"job_type": job_type}] * 1000))
    importing.stdin.flush()
    for _ in range(1000):
        importing.stdout.readline()
    importing.send_signal(2)
    _, err = importing.communicate(timeout=60)
    assert importing.returncode == 130
    assert err.decode().startswith("Cut off after line 1000: 1000 lines were answered")
    assert err.count(b"\n") == 1
