"""`dataqueue events`: what happens, as it happens."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any, Final

import typer

from workers.cli_errors import Refused
from workers.cli_filters import TagMode
from workers.cli_output import Output, plain
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of

_COMMON: Final = frozenset({"id", "event", "job_id", "job_type", "tags", "at"})


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
            _say(session.out, one)


def _say(out: Output, event: Any) -> None:
    own = {name: value for name, value in event.items() if name not in _COMMON and value is not None}
    if out.as_json:
        out.document(event)
    elif out.for_people:
        told = "  ".join(f"{name}={plain(value)}" for name, value in own.items())
        what = f"{plain(event['event']):<16}  {plain(event['job_type'])}  {event['job_id']}"
        print(f"{event['at'][11:23]}  {what}  {told}".rstrip(), flush=True)
    else:
        out.line(event["at"], event["event"], event["job_type"], event["job_id"], own)
