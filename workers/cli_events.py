"""`dataqueue events`: what happens, as it happens."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from workers.cli_errors import Refused
from workers.cli_filters import TagMode
from workers.cli_jobs_watch import say
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of


@takes("session", session_of)
def events(  # noqa: PLR0917 - an option each, which nobody calls by position
    session: Session,
    event: Annotated[
        list[str] | None, typer.Option("--event", "-e", metavar="NAME", help="As job:failed; may be given again.")
    ] = None,
    job_type: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Job type; may be given again.")
    ] = None,
    job_id: Annotated[list[str] | None, typer.Option("--job", metavar="ID", help="Job; may be given again.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="Tag; may be given again, see --tag-mode.")
    ] = None,
    tag_mode: Annotated[
        TagMode | None, typer.Option(help="Jobs that have all of the tags, any, none, or exactly these.")
    ] = None,
    after: Annotated[
        str, typer.Option(metavar="POSITION", help="'now', 'start' (the oldest that is kept), or the id of an event.")
    ] = "now",
) -> None:
    """Follow what happens to jobs, until Ctrl-C. A connection that breaks is taken up where it was.

    \b
    Examples:
      dataqueue events --event job:failed
      dataqueue events --type send_email --after start --json
    """
    if tag_mode is not None and not tag:
        raise Refused("--tag-mode says how several --tag count: give a --tag")
    asked = {"event": event, "job_type": job_type, "job_id": job_id, "tags": tag, "tag_mode": tag_mode}
    where: Any = {name: value for name, value in asked.items() if value}
    with session.client() as client, closing(client.events(after=after, **where)) as happening:
        for one in happening:
            say(session.out, one, one["job_type"], one["job_id"])
