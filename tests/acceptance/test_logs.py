"""What real processes log: enough to find a request or a job, and never what was sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.acceptance.grudges import refusing, with_password
from tests.acceptance.notes import VARIABLE, Notes
from tests.acceptance.processes import Process, until
from tests.acceptance.services import LEASE, Api

HANDLERS: Final = "tests.acceptance.telling_handlers"
PASSWORD: Final = "planted-password"
PAYLOAD: Final = "planted-payload"
REQUEST: Final = "a-request-of-ours"
IDEMPOTENCY_KEY: Final = "planted-idempotency-key"
REFUSED: Final = "planted-refused"


@pytest.fixture(scope="module")
def secretive_database(another_storage: Callable[[], str]) -> str:
    """A storage of the module's own, at a URL with a password, which it lets everybody have."""
    url = with_password(another_storage(), PASSWORD)
    assert PASSWORD in url
    return url


@pytest.fixture(scope="module")
def api(secretive_database: str, place: Path) -> Iterator[Api]:
    with Api(secretive_database, log=place / "api.log") as served:
        served.until_ready()
        yield served


@pytest.fixture(scope="module")
def worker(secretive_database: str, notes: Notes) -> Iterator[Process]:
    with Process(
        *("worker", "--import", HANDLERS),
        log=notes.file.with_name("worker.log"),
        settings={"url": secretive_database, "lease_seconds": LEASE},
        **{VARIABLE: str(notes.file)},
    ) as worker:
        worker.until_logged("worker.started")
        yield worker


def the_line(process: Process, event: str, **fields: object) -> dict[str, Any]:
    return until(lambda: process.logged(event, **fields), f"a line: {event}")[-1]


@pytest.mark.parametrize(
    ("job_type", "event"),
    [
        ("tells", "mail.sent"),
        ("tells", "it was slow\nvery slow"),
        ("tells_in_thread", "mail.sent_in_thread"),
        ("crashes_then_tells", "mail.sent_alone"),
    ],
)
def test_what_a_handler_logs_names_its_job(api: Api, worker: Process, job_type: str, event: str) -> None:
    job_id = api.enqueue(job_type, {"text": PAYLOAD})
    api.ended(job_id)
    line = the_line(worker, event, job_id=job_id)
    assert (line["job_type"], line["attempt"]) == (job_type, 1)


def test_what_is_logged_around_a_handler_names_no_job(api: Api, worker: Process) -> None:
    api.ended(api.enqueue("tells"))
    assert all("job_id" not in line for line in worker.logged("worker.started"))


def test_a_handlers_failure_is_logged_with_its_place_and_without_its_message(api: Api, worker: Process) -> None:
    job_id = api.enqueue("fails", {"text": PAYLOAD}, max_attempts=1)
    job = api.ended(job_id, status="failed")
    assert PAYLOAD in job["error_history"][0]["message"]
    line = the_line(worker, "job.failed", job_id=job_id)
    assert (line["error"], line["reason"], line["attempt"]) == ("ValueError", "handler_error", 1)
    assert "telling_handlers.py" in line["where"][-1]


def test_a_request_that_fails_is_found_by_its_id_and_nothing_that_was_sent_is_logged(
    api: Api, worker: Process, secretive_database: str
) -> None:
    key = "dq_" + "planted-secret-key-" * 2
    refused = httpx.get(f"{api.url}/v1/jobs", headers={"authorization": f"Bearer {key}"})
    assert refused.status_code == 401
    failed = api.http.post(
        f"/v1/jobs?ticket={key}",
        json={"job_type": "fine", "payload": REFUSED, "idempotency_key": IDEMPOTENCY_KEY},
        headers={"x-request-id": REQUEST},
    )
    assert failed.status_code == 422, failed.text
    # What a PostgreSQL then says quotes the row.
    with refusing(secretive_database, REFUSED) as error:
        failed = api.http.post(
            "/v1/jobs",
            json={"job_type": "fine", "payload": REFUSED, "idempotency_key": IDEMPOTENCY_KEY},
            headers={"x-request-id": REQUEST, "cookie": key},
        )
    assert (failed.status_code, failed.json()["code"]) == (500, "storage_refused")
    assert failed.json()["request_id"] == REQUEST
    line = the_line(api, "request.failed", request_id=REQUEST)
    assert (line["method"], line["path"]) == ("POST", "/v1/jobs")
    assert error in line["exception"]
    job_id = api.enqueue("fails", {"text": PAYLOAD}, max_attempts=1, idempotency_key=IDEMPOTENCY_KEY)
    api.ended(job_id, status="failed")
    the_line(worker, "job.failed", job_id=job_id)
    for process in (api, worker):
        for secret in (key, "planted-secret", PASSWORD, PAYLOAD, IDEMPOTENCY_KEY, REFUSED):
            assert secret not in process.said, secret


def test_a_url_with_its_password_is_not_logged_while_the_database_is_away(place: Path, nowhere: str) -> None:
    with Process(
        *("worker", "--import", HANDLERS),
        log=place / "away.log",
        settings={"url": nowhere},
        **{VARIABLE: str(place / "away")},
    ) as worker:
        worker.until_logged("claims.failing")
        assert "hunter2" in nowhere
        assert "hunter2" not in worker.said


def test_every_line_is_json_on_a_line_of_its_own_with_what_it_is_about(api: Api, worker: Process) -> None:
    for process in (api, worker):
        lines = [line for line in process.said.splitlines() if line]
        assert lines
        logged = process.logged()
        assert len(logged) == len(lines), [line for line in lines if not line.startswith("{")]
        for line in logged:
            assert {"event", "level", "timestamp"} <= set(line)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])
