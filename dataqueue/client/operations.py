"""Every operation, once: its arguments become a call. Both clients offer each of these under the same name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Unpack, cast

from dataqueue.client.answers import (
    BulkResult,
    CreatedToken,
    Enqueued,
    Event,
    Job,
    JobType,
    MaintenanceRun,
    Stats,
    Tag,
    Token,
    Worker,
)
from dataqueue.client.calls import PAGE, Call, Listing, get, post
from dataqueue.client.encoding import Duration, encode, seconds_of, segment
from dataqueue.client.fields import (
    Edits,
    EnqueueOptions,
    Filter,
    Id,
    JobFields,
    JobTypeSettings,
    TokenFilter,
    filter_json,
    filter_query,
    given,
    job_of,
)
from dataqueue.ids import new_id

_LONG: Final = 600.0
"""Seconds more for what works through any number of jobs before it answers."""
_NO_PAYLOAD: Final = object()


def enqueue(job_type: str, payload: Any = _NO_PAYLOAD, **options: Unpack[EnqueueOptions]) -> Call[Enqueued]:
    """Enqueue a job; the payload is any JSON value, `{}` when left out.

    Tried again when no answer comes, and stored once even so: by its idempotency key, or else by an id made here.
    Then `status` is "pending" if the answer to the try that stored it was lost. With an `id` of your own and no
    idempotency key it is not tried again.
    """
    job = job_of({"job_type": job_type, **options})
    if payload is not _NO_PAYLOAD:
        job["payload"] = payload
    if "idempotency_key" in job or "id" in job:
        return _enqueue(job, repeatable="idempotency_key" in job)
    job["id"] = str(new_id())
    return _enqueue(job, repeatable=True, if_stored=_stored(job))


def enqueue_batch(jobs: Iterable[JobFields]) -> Call[list[Enqueued]]:
    """Enqueue up to 1,000 jobs, all or none; the answers come in their order.

    Tried again when no answer comes if every job has an idempotency key, or if none has one or an `id` of its own.
    """
    batch = [job_of(job) for job in jobs]
    if any("idempotency_key" in job or "id" in job for job in batch):
        return _enqueue_batch(batch, repeatable=all("idempotency_key" in job for job in batch))
    batch = [{**job, "id": str(new_id())} for job in batch]
    return _enqueue_batch(batch, repeatable=True, if_stored=[_stored(job) for job in batch])


def get_job(job_id: Id, *, wait: Duration = 0) -> Call[Job]:
    """The job as read. `wait`: hold the answer until the job has ended or this much time, 60 s at most, is up."""
    seconds = seconds_of(wait, zero=True)
    return get(_job(job_id), (("wait", f"{seconds:f}"),) if seconds else (), extra_time=seconds)


def list_jobs(*, limit: int | None = None, page_size: int = PAGE, **where: Unpack[Filter]) -> Listing[Job]:
    """The jobs of a filter, newest first, fetched page by page; at most `limit` of them, if given."""
    return Listing("/v1/jobs", filter_query(where), limit=limit, page_size=page_size)


def job_events(job_id: Id, *, limit: int | None = None, page_size: int = PAGE) -> Listing[Event]:
    """What happened to a job, oldest first."""
    return Listing(f"{_job(job_id)}/events", limit=limit, page_size=page_size)


def edit_job(job_id: Id, **updates: Unpack[Edits]) -> Call[Job]:
    """Change a pending job; None brings a field back to its default."""
    return Call(method="PATCH", path=_job(job_id), body=encode(updates))


def cancel(job_id: Id) -> Call[Job]:
    """Cancel a job that is pending or waiting; one that is processing has `cancel_requested` until its worker hears."""
    return post(f"{_job(job_id)}/cancel")


def retry(job_id: Id) -> Call[Job]:
    """Make a failed or cancelled job pending again."""
    return post(f"{_job(job_id)}/retry")


def delete(job_id: Id) -> Call[None]:
    """Delete a job that has ended."""
    return Call(method="DELETE", path=_job(job_id), read=lambda _: None)


def cancel_jobs(where: Filter, *, dry_run: bool = False) -> Call[BulkResult]:
    """Cancel the jobs of a filter; `{}` is every job."""
    return _bulk("cancel", where, dry_run=dry_run)


def retry_jobs(where: Filter, *, dry_run: bool = False) -> Call[BulkResult]:
    """Retry the jobs of a filter; `{}` is every job."""
    return _bulk("retry", where, dry_run=dry_run)


def edit_jobs(where: Filter, updates: Edits, *, dry_run: bool = False) -> Call[BulkResult]:
    """Change the pending jobs of a filter; `{}` is every job."""
    return _bulk("edit", where, dry_run=dry_run, updates=updates)


def delete_jobs(where: Filter, *, dry_run: bool = False) -> Call[BulkResult]:
    """Delete the ended jobs of a filter; `{}` is every job."""
    return _bulk("delete", where, dry_run=dry_run)


def create_token(*, timeout: Duration | None = None, tags: Sequence[str] | None = None) -> Call[CreatedToken]:
    """Make a token that a job can wait for, and that belongs to none. Without a `timeout` it never expires.

    A POST to its `callback_url` completes it without a key, and whoever has that URL can.
    """
    return post("/v1/tokens", given({"timeout": timeout, "tags": tags}))


def get_token(token_id: Id) -> Call[Token]:
    """The token as read."""
    return get(_token(token_id))


def list_tokens(*, limit: int | None = None, page_size: int = PAGE, **where: Unpack[TokenFilter]) -> Listing[Token]:
    """The tokens of a filter, newest first; in all else as `list_jobs`."""
    return Listing("/v1/tokens", filter_query(cast(Any, where)), limit=limit, page_size=page_size)


def complete_token(token_id: Id, output: Any = None) -> Call[Token]:
    """Complete a token, and let the jobs that wait for it go on. The first completion counts.

    The same output again is no error, so this is tried again when no answer comes. TokenAlreadyCompleted: with another
    output. TokenExpired: its time was up.
    """
    body = None if output is None else encode(output)
    return Call(method="POST", path=f"{_token(token_id)}/complete", body=body, repeatable=True)


def expire_tokens() -> Call[int]:
    """Time out, now, the tokens whose time is up; says how many."""
    return Call(method="POST", path="/v1/tokens/expire", read=lambda answer: int(answer["expired"]), extra_time=_LONG)


def tags(prefix: str | None = None, *, limit: int | None = None, page_size: int = PAGE) -> Listing[Tag]:
    """The tags that jobs have, by name, with counts by status."""
    return Listing("/v1/tags", (("prefix", prefix),) if prefix else (), limit=limit, page_size=page_size)


def tag(name: str) -> Call[Tag]:
    """One tag with its counts."""
    return get(f"/v1/tags/{segment(name)}")


def job_types(*, limit: int | None = None, page_size: int = PAGE) -> Listing[JobType]:
    """Every job type that has a job or a setting."""
    return Listing("/v1/job-types", limit=limit, page_size=page_size)


def job_type(name: str) -> Call[JobType]:
    """One job type with its settings and counts."""
    return get(_job_type(name))


def put_job_type(name: str, **settings: Unpack[JobTypeSettings]) -> Call[JobType]:
    """Replace the settings of a job type; what is left out is unset."""
    return Call(method="PUT", path=_job_type(name), body=encode(given(settings)))


def pause(job_type: str) -> Call[JobType]:
    """Let no more jobs of a type start."""
    return post(f"{_job_type(job_type)}/pause")


def resume(job_type: str) -> Call[JobType]:
    """Let jobs of a type start again."""
    return post(f"{_job_type(job_type)}/resume")


def stats() -> Call[Stats]:
    """How many jobs there are, and how the last hour went."""
    return get("/v1/stats")


def workers() -> Call[list[Worker]]:
    """The live workers."""
    return get("/v1/workers", read=lambda answer: list(answer["data"]))


def drain_worker(worker_id: str) -> Call[Worker]:
    """Have a worker finish what it holds and take no more."""
    return post(f"/v1/workers/{segment(worker_id)}/drain")


def run_maintenance() -> Call[MaintenanceRun]:
    """Reclaim, expire and clean up what is due, now."""
    return post("/v1/maintenance/run", extra_time=_LONG)


def _enqueue(job: dict[str, Any], *, repeatable: bool, if_stored: Enqueued | None = None) -> Call[Enqueued]:
    return Call(method="POST", path="/v1/jobs", body=encode(job), repeatable=repeatable, if_stored=if_stored)


def _enqueue_batch(
    batch: list[dict[str, Any]], *, repeatable: bool, if_stored: list[Enqueued] | None = None
) -> Call[list[Enqueued]]:
    return Call(
        method="POST",
        path="/v1/jobs/batch",
        body=encode({"jobs": batch}),
        read=lambda answer: list(answer["jobs"]),
        repeatable=repeatable,
        if_stored=if_stored,
    )


def _stored(job: dict[str, Any]) -> Enqueued:
    return {"id": job["id"], "status": "pending", "created": True}


def _bulk(verb: str, where: Filter, *, dry_run: bool, updates: Edits | None = None) -> Call[BulkResult]:
    body: dict[str, object] = {"filter": filter_json(where)}
    if updates is not None:
        body["updates"] = updates
    if dry_run:
        body["dry_run"] = True
    return post(f"/v1/jobs/{verb}", body, extra_time=_LONG)


def _job(job_id: Id) -> str:
    return f"/v1/jobs/{segment(job_id)}"


def _token(token_id: Id) -> str:
    return f"/v1/tokens/{segment(token_id)}"


def _job_type(name: str) -> str:
    return f"/v1/job-types/{segment(name)}"
