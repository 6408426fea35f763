"""`dataqueue jobs watch`: what happens to a job, until it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from workers.cli_errors import FAILED
from workers.cli_output import Output, plain
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of

if TYPE_CHECKING:
    from dataqueue.client import Client
    from dataqueue.client.answers import Event

_COMMON: Final = frozenset({"id", "event", "job_id", "job_type", "tags", "at"})
"""What every event has; the rest is of its kind."""
_OFTENEST: Final = 0.5
_SELDOMEST: Final = 2.0


@takes("session", session_of)
def watch(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)],
) -> None:
    """Follow what happens to a job, from its beginning until it ends. Exit code 1 unless it completes.

    Ctrl-C ends the watching; the job goes on.

    \b
    Example:
      dataqueue jobs watch 019ab5e6-3c51-7d20-8a4e-5f0f6c1b7a42
    """
    from workers.cli_waiting import ENDED, pause

    with session.client() as client:
        seen: set[str] = set()
        held = 0.0
        while True:
            asked_at = time.monotonic()
            # Asked for before its events: those of its end are then among them.
            job = client.get_job(job_id, wait=held)
            new = _new_events(client, job_id, seen)
            for event in new:
                say(session.out, event)
            if job["status"] in ENDED:
                break
            if held:
                pause(asked_at)
            held = _OFTENEST if new else min(held * 1.5, _SELDOMEST)
    if session.out.for_people:
        session.out.note(_ended(job))
    if job["status"] != "completed":
        raise typer.Exit(FAILED)


def _new_events(client: Client, job_id: str, seen: set[str]) -> list[Event]:
    new = [event for event in client.job_events(job_id, page_size=1000) if event["id"] not in seen]
    seen.update(event["id"] for event in new)
    return new


def say(out: Output, event: Any, *what: str | None) -> None:
    """An event on a line: when, its name, `what` besides, and what events of its kind have."""
    own = {name: value for name, value in event.items() if name not in _COMMON and value is not None}
    if out.as_json:
        out.document(event)
    elif out.for_people:
        told = "  ".join([*map(plain, filter(None, what)), *(f"{name}={plain(value)}" for name, value in own.items())])
        print(f"{event['at'][11:23]}  {plain(event['event']):<16}  {told}".rstrip(), flush=True)
    else:
        out.line(event["at"], event["event"], *what, own)


def _ended(job: Any) -> str:
    said = job["failure_reason"] or ""
    if job["status"] == "completed" and job["output"] is not None:
        said = f"output {plain(job['output'])}"
    return f"{job['status']}: {said}" if said else str(job["status"])
