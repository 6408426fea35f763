"""`dataqueue jobs add`: enqueue a job."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workers.cli_errors import FAILED, Refused
from workers.cli_filters import instant_in, seconds_in
from workers.cli_json import json_in
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of


@takes("session", session_of)
def add(  # noqa: PLR0917 - an option each, which nobody calls by position
    session: Session,
    job_type: Annotated[str, typer.Argument(metavar="TYPE", help="Which handler does it.", show_default=False)],
    payload: Annotated[
        str | None,
        typer.Argument(
            metavar="PAYLOAD", help="What the handler is given: JSON, or @FILE, or - for stdin.", show_default="{}"
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="Label it; may be given again.")
    ] = None,
    delay: Annotated[str | None, typer.Option(metavar="DURATION", help="Not before this long from now: 10m.")] = None,
    run_at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Not before this: 2026-11-24T09:00:00Z.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first.", show_default="0")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            "--idempotency-key",
            metavar="KEY",
            help="Idempotency key: a second job with it is not made, and the first is answered.",
        ),
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(metavar="N", help="How often it may be tried.", show_default="3")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long one attempt may take.", show_default="any time")
    ] = None,
    force_kill_on_timeout: Annotated[
        bool, typer.Option("--force-kill-on-timeout", help="Run it in a process of its own, killed at the --timeout.")
    ] = False,
    retry_delay: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Base of the pause between attempts.", show_default="1m")
    ] = None,
    retry_backoff: Annotated[
        bool | None,
        typer.Option(
            "--retry-backoff/--no-retry-backoff", help="Whether that pause doubles each time.", show_default="it does"
        ),
    ] = None,
    retry_delay_max: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Longest pause between attempts.")
    ] = None,
    dead_letter: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Type of the job that is made of this one if it fails.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="ID", help="Group that it counts against; not available yet.")
    ] = None,
    group_tier: Annotated[
        str | None, typer.Option(metavar="TIER", help="Label of its group; not available yet.")
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(
            "--after", metavar="ID", help="Only once this job completed, may be given again; not available yet."
        ),
    ] = None,
    after_tag: Annotated[
        list[str] | None,
        typer.Option(
            "--after-tag", metavar="TAG", help="Only once no earlier job with these tags is left; not available yet."
        ),
    ] = None,
    id: Annotated[str | None, typer.Option(metavar="ID", help="An id of your own, a UUIDv7.")] = None,
    wait: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Wait this long for its end; exit code 1 unless it completes."),
    ] = None,
) -> None:
    """Enqueue a job and print its id; with --wait print the job once it has ended.

    \b
    Examples:
      dataqueue jobs add send_email '{"to": "ada@example.com"}' --tag customer:42
      dataqueue jobs add build_report @report.json --delay 10m --key report-2026-11
      id=$(dataqueue jobs add count_primes '{"below": 1000000}')
    """
    if force_kill_on_timeout and not timeout:
        raise Refused("--force-kill-on-timeout: give the --timeout, too")
    options: dict[str, Any] = {
        "tags": tag or None,
        "delay": delay and seconds_in("--delay", delay),
        "run_at": run_at and instant_in("--run-at", run_at),
        "priority": priority,
        "idempotency_key": key,
        "max_attempts": max_attempts,
        "timeout_ms": timeout and max(round(seconds_in("--timeout", timeout) * 1000), 1),
        "force_kill_on_timeout": force_kill_on_timeout or None,
        "retry_delay": retry_delay and seconds_in("--retry-delay", retry_delay, zero=True),
        "retry_backoff": retry_backoff,
        "retry_delay_max": retry_delay_max and seconds_in("--retry-delay-max", retry_delay_max, zero=True),
        "dead_letter_job_type": dead_letter,
        "group": _group(group, group_tier),
        "depends_on": {name: given for name, given in (("job_ids", after), ("tags", after_tag)) if given} or None,
        "id": id,
    }
    if payload is not None:
        options["payload"] = json_in("PAYLOAD", payload)
    seconds = None if wait is None else seconds_in("--wait", wait, zero=True)
    with session.client() as client:
        enqueued = client.enqueue(job_type, **options)
        if seconds is None:
            _say(session, enqueued)
        else:
            _wait(session, client, enqueued["id"], seconds)


def _say(session: Session, enqueued: Any) -> None:
    out = session.out
    if out.as_json:
        out.document(enqueued)
    else:
        print(enqueued["id"])
        if out.for_people:
            out.note(f"{enqueued['status']}, {'enqueued' if enqueued['created'] else 'there already under this key'}")


def _wait(session: Session, client: Any, job_id: str, seconds: float) -> None:
    from dataqueue.errors import DataQueueError
    from workers.cli_progress import progress
    from workers.cli_waiting import ENDED, until_ended

    try:
        with progress(f"waiting for {job_id}"):
            job = until_ended(client, job_id, within=seconds)
    except (DataQueueError, KeyboardInterrupt):
        session.out.note(f"dataqueue: job {job_id} is enqueued, and may be watched later")
        raise
    session.out.document(job)
    if job["status"] not in ENDED:
        session.out.note(
            f"dataqueue: after {seconds:g} s it is {job['status']}; `dataqueue jobs watch {job_id}` waits on"
        )
    if job["status"] != "completed":
        raise typer.Exit(FAILED)


def _group(id: str | None, tier: str | None) -> dict[str, str] | None:
    if id is None:
        if tier is not None:
            raise Refused("--group-tier labels a group: give --group")
        return None
    return {"id": id} if tier is None else {"id": id, "tier": tier}
