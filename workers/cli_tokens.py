"""`dataqueue tokens`: make what a job can wait for, look at it, complete it."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from operator import itemgetter
from typing import Annotated, Any, Final

import typer

from workers.cli_errors import Refused
from workers.cli_filters import TagMode, seconds_in
from workers.cli_json import json_in
from workers.cli_output import Column, moment
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="The service is DATAQUEUE_API_URL (http://127.0.0.1:8000), the key DATAQUEUE_API_KEY.",
)
_LARGEST_PAGE: Final = 1000
_NAMES: Final = ("id", "status", "job_id", "name", "timeout_at", "created_at", "tags")
_FOR_PROGRAMS: Final = tuple(Column(name, itemgetter(name)) for name in _NAMES)
_FOR_PEOPLE: Final = (
    Column("ID", lambda token: token["id"], whole=True),
    Column("STATUS", lambda token: token["status"], whole=True),
    Column("JOB", lambda token: token["job_id"], whole=True),
    Column("EXPIRES", lambda token: moment(token["timeout_at"])),
    Column("TAGS", lambda token: ", ".join(token["tags"])),
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The token's id.", show_default=False)]


class Status(StrEnum):
    """The statuses of a token; those of the domain take as long to import as all the rest of a `--help`."""

    WAITING = "waiting"
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"


@app.callback()
def tokens() -> None:
    """Make tokens, which a job can wait for until somebody completes them; look at them; complete them."""


@app.command(short_help="Make a token.")
@takes("session", session_of)
def create(
    session: Session,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="When it expires: 48h.", show_default="never")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="Label it; may be given again.")
    ] = None,
) -> None:
    """Make a token that belongs to no job. Its callback_url is shown this once: whoever has it can complete the token.

    \b
    Example:
      dataqueue tokens create --timeout 48h --tag order:17
    """
    seconds = None if timeout is None else seconds_in("--timeout", timeout)
    with session.client() as client:
        session.out.document(client.create_token(timeout=seconds, tags=tag or None))


@app.command(short_help="Show a token.")
@takes("session", session_of)
def get(session: Session, token_id: Id) -> None:
    """Show a token.

    \b
    Example:
      dataqueue tokens get 019ab5e6-8f10-7c52-8d44-3b6f1e9a7c05
    """
    with session.client() as client:
        session.out.document(client.get_token(token_id))


@app.command("list", short_help="List tokens, newest first.")
@takes("session", session_of)
def list_(  # noqa: PLR0917 - an option each, which nobody calls by position
    session: Session,
    status: Annotated[
        list[Status] | None,
        typer.Option("--status", "-s", metavar="STATUS", help=f"{', '.join(Status)}; may be given again."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="Tag; may be given again, see --tag-mode.")
    ] = None,
    tag_mode: Annotated[
        TagMode | None,
        typer.Option(
            help="Tokens that have all of the tags, any, none, or exactly these and no other.", show_default="all"
        ),
    ] = None,
    job: Annotated[str | None, typer.Option("--job", metavar="ID", help="Those that this job made.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="How many at most.", show_default="50")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
) -> None:
    """List tokens, newest first. Options narrow each other; what one may be given again for is one or the other.

    \b
    Example:
      dataqueue tokens list --status waiting --tag order:17
    """
    if everything and limit is not None:
        raise Refused("--all and --limit contradict each other")
    if tag_mode is not None and not tag:
        raise Refused("--tag-mode says how several --tag count: give a --tag")
    given = {"status": status, "tags": tag, "tag_mode": tag_mode, "job_id": job}
    where: Any = {name: value for name, value in given.items() if value}
    most = None if everything else limit or 50
    out = session.out
    with session.client() as client:
        # One more than is shown tells whether there are more.
        size = _LARGEST_PAGE if most is None else min(most + 1, _LARGEST_PAGE)
        found = client.list_tokens(limit=None if most is None else most + 1, page_size=size, **where)
        columns = _FOR_PEOPLE if out.for_people else _FOR_PROGRAMS
        out.rows(columns, islice(found, most), none="No token matches.")
        if out.for_people and next(found, None) is not None:
            out.note(f"There are more: --limit {(most or 0) * 10}, or --all.")


@app.command(short_help="Complete a token.")
@takes("session", session_of)
def complete(
    session: Session,
    token_id: Id,
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="OUTPUT", help="What it is completed with: JSON, or @FILE, or - for stdin.", show_default="null"
        ),
    ] = None,
) -> None:
    """Complete a token, so that the jobs which wait for it go on. The first completion counts.

    \b
    Example:
      dataqueue tokens complete 019ab5e6-8f10-7c52-8d44-3b6f1e9a7c05 '{"approved": true}'
    """
    value = None if output is None else json_in("OUTPUT", output)
    with session.client() as client:
        session.out.document(client.complete_token(token_id, value))
