"""`dataqueue jobs add` and `get`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataqueue.ids import new_id
from tests.acceptance.services import Api
from tests.client.commands.command import Command
from tests.client.stub import JOB_ID


def test_the_id_is_alone_on_stdout(dataqueue: Command, api: Api, job_type: str) -> None:
    done = dataqueue("jobs", "add", job_type)
    assert (done.code, done.err) == (0, "")
    job = api.job(done.out.strip())
    assert done.out == job["id"] + "\n"
    assert (job["job_type"], job["payload"]) == (job_type, {})


def test_every_option_reaches_the_job(dataqueue: Command, api: Api, job_type: str) -> None:
    own = str(new_id())
    options = (
        "--tag a -t b/c --run-at 2030-01-02T04:04:05+01:00 --priority -7 --key k1 --max-attempts 9 --timeout 1.5s "
        "--force-kill-on-timeout "
        f"--retry-delay 2m --no-retry-backoff --retry-delay-max 1h --dead-letter buried --id {own}"
    )
    done = dataqueue("jobs", "add", job_type, '{"n": [1, null]}', *options.split())
    assert (done.code, done.err, done.out) == (0, "", f"{own}\n")
    shown = {
        "job_type": job_type, "payload": {"n": [1, None]}, "tags": ["a", "b/c"],
        "run_at": "2030-01-02T03:04:05.000000Z", "priority": -7,
        "idempotency_key": "k1", "max_attempts": 9, "timeout_ms": 1500, "force_kill_on_timeout": True,
        "retry_delay": 120, "retry_backoff": False, "retry_delay_max": 3600, "dead_letter_job_type": "buried",
    }  # fmt: skip
    assert {name: value for name, value in api.job(own).items() if name in shown} == shown


def test_a_delay_is_from_now(dataqueue: Command, api: Api, job_type: str) -> None:
    job = api.job(dataqueue("jobs", "add", job_type, "--delay", "90").out.strip())
    assert job["pending_reason"] == "scheduled"
    assert job["created_at"] < job["run_at"]


def test_a_payload_comes_from_a_file_or_stdin_and_is_kept_exactly(
    dataqueue: Command, api: Api, job_type: str, tmp_path: Path
) -> None:
    text = '{"big": 12345678901234567890123, "text": "ä", "empty": []}'
    (tmp_path / "payload.json").write_text(text)
    same = {"big": 12345678901234567890123, "text": "ä", "empty": []}
    for payload, stdin in ((text, ""), (f"@{tmp_path / 'payload.json'}", ""), ("-", text)):
        done = dataqueue("jobs", "add", job_type, payload, stdin=stdin.encode())
        assert api.job(done.out.strip())["payload"] == same
    assert api.job(dataqueue("jobs", "add", job_type, "null").out.strip())["payload"] is None


def test_a_key_that_was_used_answers_the_first_job(dataqueue: Command, job_type: str) -> None:
    [first] = dataqueue("jobs", "add", job_type, "--key", "k2", "--json").json
    [again] = dataqueue("jobs", "add", job_type, "--idempotency-key", "k2", "--json").json
    assert first == {"id": first["id"], "status": "pending", "created": True}
    assert again == {**first, "created": False}


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("{bad",), "PAYLOAD must be JSON: Expecting property name"),
        (("hello",), "a text needs its quotes"),
        (("NaN",), "PAYLOAD must be JSON: NaN is not JSON"),
        (("[" * 100_000,), "PAYLOAD is nested too deep"),
        (("@/nowhere/at/all",), "PAYLOAD: cannot read /nowhere/at/all: No such file"),
        (("{}", "--delay", "soon"), "--delay: must look like"),
        (("{}", "--delay", "0"), "--delay: must be a positive duration"),
        (("{}", "--wait", "-1"), "--wait: must"),
        (("{}", "--run-at", "2030-01-01T00:00:00"), "--run-at: must be an instant with its offset"),
        (("{}", "--run-at", "tomorrow"), "--run-at: must be an instant with its offset"),
        (("{}", "--group-tier", "gold"), "--group-tier labels a group: give --group"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    dataqueue: Command, api: Api, job_type: str, arguments: tuple[str, ...], saying: str
) -> None:
    done = dataqueue("jobs", "add", job_type, *arguments)
    assert done.code == 2
    assert saying in done.sentence
    assert api.http.get("/v1/jobs", params={"job_type": job_type}).json()["data"] == []


def test_stdin_that_is_no_text_is_a_usage_error(dataqueue: Command, job_type: str) -> None:
    done = dataqueue("jobs", "add", job_type, "-", stdin=b"\xff")
    assert (done.code, done.sentence) == (2, "PAYLOAD: stdin is not UTF-8")


def test_what_the_service_refuses_is_said_in_its_words(dataqueue: Command, job_type: str) -> None:
    done = dataqueue("jobs", "add", "not a name")
    assert done.code == 1
    assert done.sentence.startswith("body.job_type: must be 1 to 200 letters")
    done = dataqueue("jobs", "add", job_type, "--priority", "99999")
    assert (done.code, "body.priority" in done.sentence) == (1, True)


@pytest.mark.usefixtures("worker")
def test_waiting_shows_the_job_as_it_ended(dataqueue: Command) -> None:
    done = dataqueue("jobs", "add", "fine", '{"n":1}', "--wait", "60s", "--json")
    assert (done.code, done.err) == (0, "")
    [job] = done.json
    assert (job["status"], job["output"]) == ("completed", {"n": 1})


@pytest.mark.usefixtures("worker")
def test_waiting_for_what_fails_is_exit_code_1(dataqueue: Command) -> None:
    done = dataqueue("jobs", "add", "not_json", '{"kind":"object"}', "--wait", "1m", "--max-attempts", "1", "--json")
    assert (done.code, done.err) == (1, "")
    assert done.json[0]["status"] == "failed"


def test_waiting_in_vain_says_how_to_wait_on(dataqueue: Command, job_type: str) -> None:
    done = dataqueue("jobs", "add", job_type, "--wait", "0.3", "--json")
    assert done.code == 1
    [job] = done.json
    assert job["status"] == "pending"
    assert done.err == f"dataqueue: after 0.3 s it is pending; `dataqueue jobs watch {job['id']}` waits on\n"


def test_a_job_is_shown_as_names_and_values_or_json(dataqueue: Command, api: Api, job_type: str) -> None:
    job_id = api.enqueue(job_type, {"text": "tab\tand\nline"}, tags=["a", "b"])
    job = api.job(job_id)
    assert dataqueue("jobs", "get", job_id, "--json").json == [job]
    shown = dataqueue("jobs", "get", job_id).rows
    assert [name for name, _ in shown] == list(job)
    assert ["payload", r'{"text":"tab\tand\nline"}'] in shown
    assert ["tags", '["a","b"]'] in shown
    assert ["output", ""] in shown
    assert ["attempts", "0"] in shown


@pytest.mark.usefixtures("worker")
def test_a_job_can_be_waited_for_as_it_is_shown(dataqueue: Command, api: Api) -> None:
    [job] = dataqueue("jobs", "get", api.enqueue("fine", 5), "--wait", "60s", "--json").json
    assert (job["status"], job["output"]) == ("completed", 5)


def test_a_job_that_is_not_there_is_not_shown(dataqueue: Command) -> None:
    done = dataqueue("jobs", "get", JOB_ID)
    assert (done.code, done.sentence) == (1, f"no job {JOB_ID}")
    done = dataqueue("jobs", "get", "nonsense")
    assert done.code == 1
    assert done.sentence.startswith("path.job_id: must be a UUID")
