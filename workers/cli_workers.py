"""`dataqueue workers`: who works, and how to have a worker stop taking jobs."""

from __future__ import annotations

from operator import itemgetter
from typing import Annotated, Final

import typer

from workers.cli_output import Column, moment
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
_NAMES: Final = ("id", "kind", "state", "jobs_held", "last_beat_at", "job_types")
_FOR_PROGRAMS: Final = tuple(Column(name, itemgetter(name)) for name in _NAMES)
_FOR_PEOPLE: Final = (
    Column("ID", lambda worker: worker["id"], whole=True),
    Column("KIND", lambda worker: worker["kind"], whole=True),
    Column("STATE", lambda worker: worker["state"], whole=True),
    Column("JOBS", lambda worker: worker["jobs_held"], whole=True),
    Column("LAST BEAT", lambda worker: moment(worker["last_beat_at"])),
    Column("TYPES", lambda worker: ", ".join(worker["job_types"])),
)


@app.callback()
@takes("session", session_of)
def workers(session: Session, context: typer.Context) -> None:
    """List the live workers: what they serve, how many jobs they hold, when they were heard of last.

    \b
    Examples:
      dataqueue workers
      dataqueue workers drain host-1-4242
    """
    if context.invoked_subcommand is not None:
        return
    out = session.out
    with session.client() as client:
        columns = _FOR_PEOPLE if out.for_people else _FOR_PROGRAMS
        out.rows(columns, client.workers(), none="No worker is alive.")


@app.command(short_help="Have a worker finish what it holds and take no more.")
@takes("session", session_of)
def drain(
    session: Session,
    worker_id: Annotated[str, typer.Argument(metavar="ID", help="The worker's id, as listed.", show_default=False)],
) -> None:
    """Have a worker finish the jobs that it holds, and take no more.

    \b
    Example:
      dataqueue workers drain host-1-4242
    """
    with session.client() as client:
        session.out.document(client.drain_worker(worker_id))
