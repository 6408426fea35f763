"""`dataqueue tags` and `dataqueue stats`: how many jobs there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Final

import typer

from workers.cli_output import Column
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of


def _count(status: str, item: Any) -> object:
    return item["counts"].get(status, 0)


_STATUSES: Final = ("pending", "processing", "waiting", "completed", "failed", "cancelled")
COUNTS: Final = tuple(Column(status.upper(), partial(_count, status)) for status in _STATUSES)
_TAG: Final = (Column("TAG", lambda item: item["tag"], whole=True), Column("TOTAL", lambda item: item["total"]))
_TYPE: Final = (Column("TYPE", lambda item: item["job_type"], whole=True),)


@takes("session", session_of)
def tags(
    session: Session,
    tag: Annotated[str | None, typer.Argument(metavar="TAG", help="Only this one.", show_default=False)] = None,
    prefix: Annotated[str | None, typer.Option(help="Only tags that begin so.")] = None,
) -> None:
    """List the tags that jobs have, by name, with how many jobs of each status.

    \b
    Example:
      dataqueue tags --prefix customer:
    """
    with session.client() as client:
        found = client.tags(prefix, page_size=1000) if tag is None else iter([client.tag(tag)])
        session.out.rows((*_TAG, *COUNTS), found, none="No job has such a tag.")


@takes("session", session_of)
def stats(session: Session) -> None:
    """Show how many jobs there are by status and type, how long the oldest has been ready, and the last hour.

    \b
    Example:
      dataqueue stats
    """
    out = session.out
    with session.client() as client:
        stats: Any = client.stats()
    if not out.for_people:
        out.document(stats, shown=dict(_flat(stats)))
        return
    by_type = [{"job_type": name, "counts": counts} for name, counts in sorted(stats["by_type"].items())]
    out.rows((*_TYPE, *COUNTS), [*by_type, {"job_type": "all", "counts": stats["by_status"]}], none="")
    age, hour = stats["oldest_ready_age"], stats["last_hour"]
    print()
    latency = "  ".join(f"{name} {value:g}" for name, value in hour["latency_ms"].items() if value is not None)
    out.document(
        {
            "oldest ready": "nothing is ready" if age is None else f"for {age:.1f} s",
            "last hour": f"{hour['added']} added, {hour['completed']} completed, {hour['failed']} failed",
            "latency, ms": latency,
        }
    )


def _flat(document: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, object]]:
    """Each value under the names that lead to it."""
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value
