"""`dataqueue jobs cancel` and `retry`: some jobs by their ids, or whatever a filter finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workers.cli_errors import FAILED, Refused
from workers.cli_filters import filter_of
from workers.cli_output import Output
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of, told

if TYPE_CHECKING:
    from dataqueue.client import Client
    from dataqueue.client.answers import BulkResult

Verb = Literal["cancel", "retry"]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="The jobs' ids.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing: say how many jobs the filter finds.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing what the filter finds.")]


@takes("session", session_of)
@takes("where", filter_of)
def cancel(session: Session, where: dict[str, Any], ids: Ids = None, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Cancel jobs that have not ended: those with these ids, or all that a filter finds.

    A job that is being processed is asked to stop, and is cancelled when its worker hears of it.

    \b
    Examples:
      dataqueue jobs cancel 019ab5e6-3c51-7d20-8a4e-5f0f6c1b7a42
      dataqueue jobs cancel --type send_email --tag campaign:7 --dry-run
    """
    _change("cancel", session, where, ids or [], dry_run=dry_run, yes=yes)


@takes("session", session_of)
@takes("where", filter_of)
def retry(session: Session, where: dict[str, Any], ids: Ids = None, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Make failed or cancelled jobs pending again: those with these ids, or all that a filter finds.

    One that has no attempt left is given one more.

    \b
    Examples:
      dataqueue jobs retry 019ab5e6-3c51-7d20-8a4e-5f0f6c1b7a42
      dataqueue jobs retry --status failed --created-after 2026-11-24T00:00:00Z --yes
    """
    _change("retry", session, where, ids or [], dry_run=dry_run, yes=yes)


def _change(
    verb: Verb, session: Session, where: dict[str, Any], ids: Sequence[str], *, dry_run: bool, yes: bool
) -> None:
    if ids and where:
        raise Refused("give ids or a filter, not both")
    if not ids and not where:
        raise Refused(f"say which jobs to {verb}: ids, or a filter such as --type or --tag")
    if ids and dry_run:
        raise Refused("--dry-run counts what a filter finds; ids are what they are")
    with session.client() as client:
        if ids:
            _one_by_one(verb, session.out, client, ids)
        else:
            _all_of(verb, session.out, client, where, dry_run=dry_run, yes=yes)


def _one_by_one(verb: Verb, out: Output, client: Client, ids: Sequence[str]) -> None:
    from dataqueue.client import ProblemError
    from workers.cli_progress import progress

    refused = 0
    with progress(f"{verb}:", total=len(ids)) as advance:
        for job_id in ids:
            try:
                job = client.cancel(job_id) if verb == "cancel" else client.retry(job_id)
            except ProblemError as error:
                if error.problem.status not in {404, 409, 422}:
                    raise
                refused += 1
                out.note(f"dataqueue: {job_id}: {told(error)}")
            else:
                if out.as_json:
                    out.document(job)
                else:
                    out.line(job["id"], "cancel requested" if job["cancel_requested"] else job["status"])
            advance(1)
    if refused:
        raise typer.Exit(FAILED)


def _all_of(verb: Verb, out: Output, client: Client, where: dict[str, Any], *, dry_run: bool, yes: bool) -> None:
    from workers.cli_progress import progress

    change = client.cancel_jobs if verb == "cancel" else client.retry_jobs
    if dry_run:
        _say(out, change(where, dry_run=True))  # type: ignore[arg-type] # made of options
        return
    if not yes and not _confirmed(verb, change(where, dry_run=True)["matched"]):  # type: ignore[arg-type] # as above
        raise Refused("nothing was changed", code=FAILED)
    with progress(f"{verb} under way"):
        result = change(where)  # type: ignore[arg-type] # as above
    _say(out, result)


def _confirmed(verb: Verb, matched: int) -> bool:
    if not sys.stdin.isatty():
        raise Refused(
            f"the filter finds {matched} jobs to {verb}, and nobody is there to ask: give --yes, or --dry-run"
        )
    try:
        return typer.confirm(f"{verb.capitalize()} {matched} {'job' if matched == 1 else 'jobs'}?", err=True)
    except typer.Abort:
        print(file=sys.stderr)
        return False


def _say(out: Output, result: BulkResult) -> None:
    if out.for_people:
        print(f"{result['matched']} matched, {result['changed']} changed")
    else:
        out.document(result)
