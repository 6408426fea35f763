"""`dataqueue jobs`: enqueue, look at and change jobs, over HTTP."""

from __future__ import annotations

from itertools import islice
from operator import itemgetter
from typing import Annotated, Any, Final

import typer

from workers import cli_jobs_add, cli_jobs_change, cli_jobs_import, cli_jobs_watch
from workers.cli_errors import Refused
from workers.cli_filters import filter_of
from workers.cli_output import Column, moment
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="The service is DATAQUEUE_API_URL (http://127.0.0.1:8000), the key DATAQUEUE_API_KEY.",
)
_LARGEST_PAGE: Final = 1000


@app.callback()
def jobs() -> None:
    """Enqueue, look at and change jobs, over HTTP.

    What is printed is a table on a terminal, tab-separated lines for another program, JSON with --json. Exit code 1
    says that a request failed or was refused, or that a job which was waited for did not complete.
    """


def _status(job: dict[str, Any]) -> str:
    if job["pending_reason"]:
        return f"{job['status']} ({job['pending_reason']})"
    return f"{job['status']} (cancel requested)" if job["cancel_requested"] else str(job["status"])


FOR_PEOPLE: Final = (
    Column("ID", lambda job: job["id"], whole=True),
    Column("TYPE", lambda job: job["job_type"]),
    Column("STATUS", _status, whole=True),
    Column("ATTEMPTS", lambda job: f"{job['attempts']}/{job['max_attempts']}"),
    Column("RUN AT", lambda job: moment(job["run_at"])),
    Column("TAGS", lambda job: ", ".join(job["tags"])),
)
FOR_PROGRAMS: Final = tuple(
    Column(name, itemgetter(name))
    for name in ("id", "job_type", "status", "pending_reason", "attempts", "max_attempts", "priority", "run_at",
                 "created_at", "tags")
)  # fmt: skip


@app.command("list", short_help="List jobs, newest first.")
@takes("session", session_of)
@takes("where", filter_of)
def list_(
    session: Session,
    where: dict[str, Any],
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="How many at most.", show_default="50")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
) -> None:
    """List jobs, newest first. Options narrow each other; what one may be given again for is one or the other.

    \b
    Examples:
      dataqueue jobs list --status failed --type send_email
      dataqueue jobs list --tag customer:42 --created-after 2026-11-24T00:00:00Z --all --json
    """
    if everything and limit is not None:
        raise Refused("--all and --limit contradict each other")
    most = None if everything else limit or 50
    out = session.out
    with session.client() as client:
        # One more than is shown tells whether there are more.
        size = _LARGEST_PAGE if most is None else min(most + 1, _LARGEST_PAGE)
        found = client.list_jobs(limit=None if most is None else most + 1, page_size=size, **where)
        columns = FOR_PEOPLE if out.for_people else FOR_PROGRAMS
        out.rows(columns, islice(found, most), none="No job matches.")
        if out.for_people and next(found, None) is not None:
            out.note(f"There are more: --limit {(most or 0) * 10}, or --all.")


@app.command("get", short_help="Show a job.")
@takes("session", session_of)
def get(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)],
    wait: Annotated[str | None, typer.Option(metavar="DURATION", help="Wait this long for its end: 30s, 10m.")] = None,
) -> None:
    """Show a job: on a terminal what is not empty, as lines of name and value all of it.

    \b
    Example:
      dataqueue jobs get 019ab5e6-3c51-7d20-8a4e-5f0f6c1b7a42
    """
    from workers.cli_filters import seconds_in
    from workers.cli_waiting import until_ended

    seconds = 0.0 if wait is None else seconds_in("--wait", wait, zero=True)
    with session.client() as client:
        session.out.document(until_ended(client, job_id, within=seconds))


app.command("add", short_help="Enqueue a job.")(cli_jobs_add.add)
app.command("watch", short_help="Follow what happens to a job until it ends.")(cli_jobs_watch.watch)
app.command("cancel", short_help="Cancel jobs, by id or by filter.")(cli_jobs_change.cancel)
app.command("retry", short_help="Retry failed or cancelled jobs, by id or by filter.")(cli_jobs_change.retry)
app.command("import", short_help="Enqueue a file of jobs, one a line.")(cli_jobs_import.import_)
