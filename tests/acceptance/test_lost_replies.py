"""The database does what it was asked, and the answer is lost: the job, the report, the event are there once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from dataqueue.domain.filters import JobFilter
from tests.acceptance.looking import jobs_in
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker
from tests.acceptance.ways import Way, way_to


class Service(NamedTuple):
    api: Api
    worker: Worker
    to_api: Way
    """The API's way to the database."""
    to_worker: Way


@pytest.fixture(scope="module")
def service(database: str, notes: Notes, place: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        to_api = stack.enter_context(way_to(database, place / "to-api"))
        to_worker = stack.enter_context(way_to(database, place / "to-worker"))
        worker = stack.enter_context(Worker(to_worker.url, notes))
        api = stack.enter_context(Api(to_api.url, log=place / "api.log"))
        api.until_ready()
        worker.until_ready()
        # Both know the job type and the namespace by now: the next statements are the ones that count.
        api.ended(api.enqueue("fine"))
        yield Service(api, worker, to_api, to_worker)


@pytest.mark.parametrize(("fields", "verb"), [({}, "enqueue"), ({"idempotency_key": "k"}, "enqueue with a key")])
def test_an_enqueue_whose_reply_is_lost_is_answered_201_and_stored_once(
    service: Service, database: str, fields: dict[str, str], verb: str
) -> None:
    api, way = service.api, service.to_api
    job = {"job_type": "unserved", "payload": [*fields], "tags": ["one"], **fields}
    cuts, before = way.cuts, unserved(database)
    way.lose_reply_to(verb)
    answer = api.http.post("/v1/jobs", json=job)
    assert (answer.status_code, way.cuts) == (201, cuts + 1), answer.text
    assert answer.json()["created"] is True
    assert unserved(database) - before == {answer.json()["id"]}
    assert api.events(answer.json()["id"]) == ["added"]


def test_a_batch_whose_reply_is_lost_is_stored_once(service: Service, database: str) -> None:
    before = unserved(database)
    service.to_api.lose_reply_to("enqueue")
    ids = service.api.enqueue_all([{"job_type": "unserved"}] * 100)
    assert unserved(database) - before == set(ids)
    assert len(set(ids)) == 100


def test_a_completion_whose_reply_is_lost_is_recorded_once(service: Service, notes: Notes) -> None:
    api, way = service.api, service.to_worker
    cuts = way.cuts
    way.lose_reply_to("complete")
    job_id = api.enqueue("fine", "kept")
    job = api.ended(job_id)
    assert (job["output"], job["attempts"], job["crashes"], way.cuts) == ("kept", 1, 0, cuts + 1)
    service.worker.until_logged("reports.waiting", verb="complete")
    api.ended(api.enqueue("fine"))  # by which time the report has been repeated
    assert not service.worker.logged("job.lost")
    assert api.job(job_id) == job
    assert api.events(job_id) == ["added", "processing", "completed"]
    assert len(notes.of(job_id, "started")) == 1


def test_a_failure_whose_reply_is_lost_costs_one_attempt_and_makes_one_dead_letter(service: Service) -> None:
    api, way = service.api, service.to_worker
    cuts = way.cuts
    way.lose_reply_to("fail")
    job_id = api.enqueue("not_json", {"kind": "NUL"}, dead_letter_job_type="unserved")
    job = api.ended(job_id, status="failed")
    assert (job["attempts"], len(job["error_history"]), way.cuts) == (1, 1, cuts + 1)
    api.ended(api.enqueue("fine"))
    assert api.job(job_id) == job
    assert api.events(job_id) == ["added", "processing", "failed", "dead_lettered"]
    assert api.events(job["dead_letter_job_id"]) == ["added"]


def test_a_job_whose_claim_got_no_reply_is_given_back_at_once_and_runs(service: Service, notes: Notes) -> None:
    api, way = service.api, service.to_worker

    def claimed_in_vain() -> str | None:
        """None when the claim that was cut came a moment too early, and had found nothing."""
        way.lose_reply_to("claim")
        job_id = api.enqueue("fine", "kept")
        api.ended(job_id)
        return job_id if api.events(job_id).count("processing") == 2 else None

    job_id = until(claimed_in_vain, "a claim that found a job and got no reply")
    job = api.job(job_id)
    assert (job["output"], job["attempts"], job["crashes"]) == ("kept", 1, 0)
    assert api.events(job_id) == ["added", "processing", "released", "processing", "completed"]
    assert len(notes.of(job_id, "started")) == 1


def unserved(database: str) -> set[str]:
    """The ids of all jobs that no worker takes."""
    return {str(job.id) for job in jobs_in(database, JobFilter(job_types=("unserved",)))}
