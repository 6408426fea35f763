"""The filter of jobs, as options."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import typer

from workers.cli_errors import Refused


class Status(StrEnum):
    """The statuses of a job; those of the domain take as long to import as all the rest of a `--help`."""

    PENDING = "pending"
    PROCESSING = "processing"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TagMode = Literal["all", "any", "none", "exact"]
_INSTANT: Final = "an instant with its offset, like 2026-11-24T09:00:00Z or 2026-11-24T10:00:00+01:00"


def filter_of(  # noqa: PLR0917 - an option each, which nobody calls by position
    status: Annotated[
        list[Status] | None,
        typer.Option("--status", "-s", metavar="STATUS", help=f"{', '.join(Status)}; may be given again."),
    ] = None,
    job_type: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Job type; may be given again.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="Tag; may be given again, see --tag-mode.")
    ] = None,
    tag_mode: Annotated[
        TagMode | None,
        typer.Option(
            help="Jobs that have all of the tags, any, none, or exactly these and no other.", show_default="all"
        ),
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Exactly this priority.")] = None,
    group: Annotated[str | None, typer.Option(metavar="ID", help="Group.")] = None,
    cron: Annotated[str | None, typer.Option(metavar="ID", help="Id of the cron that made them.")] = None,
    run_after: Annotated[
        str | None, typer.Option(metavar="INSTANT", help=f"To run at or after this: {_INSTANT}.")
    ] = None,
    run_before: Annotated[str | None, typer.Option(metavar="INSTANT", help="To run before this.")] = None,
    created_after: Annotated[str | None, typer.Option(metavar="INSTANT", help="Created at or after this.")] = None,
    created_before: Annotated[str | None, typer.Option(metavar="INSTANT", help="Created before this.")] = None,
) -> dict[str, Any]:
    """The filter as `dataqueue.client` takes it; empty when no option was given."""
    if tag_mode is not None and not tag:
        raise Refused("--tag-mode says how several --tag count: give a --tag")
    given = {
        "status": status,
        "job_type": job_type,
        "tags": tag,
        "tag_mode": tag_mode,
        "priority": priority,
        "group_id": group,
        "cron_id": cron,
        "run_at": _range("--run-after", run_after, "--run-before", run_before),
        "created_at": _range("--created-after", created_after, "--created-before", created_before),
    }
    return {name: value for name, value in given.items() if value not in (None, [], {})}


def instant_in(option: str, text: str) -> datetime:
    """The instant that an option gives."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Refused(f"{option}: must be {_INSTANT}")
    return instant


def seconds_in(option: str, text: str, *, zero: bool = False) -> float:
    """The duration that an option gives, in seconds."""
    from dataqueue.domain.durations import parse_duration

    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdecimal() else text, zero=zero).total_seconds()
    except ValueError as error:
        raise Refused(f"{option}: {error}") from None


def _range(from_option: str, since: str | None, to_option: str, before: str | None) -> dict[str, datetime]:
    bounds = {}
    if since is not None:
        bounds["gte"] = instant_in(from_option, since)
    if before is not None:
        bounds["lt"] = instant_in(to_option, before)
    return bounds
