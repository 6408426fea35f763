"""What every command that speaks HTTP has: the service, and a way to say what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from workers.cli_errors import FAILED, Refused
from workers.cli_output import Output

if TYPE_CHECKING:
    from dataqueue.client import Client, ProblemError, ServiceUnreachable

_LONGEST_KEY: Final = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """The service that was named, and the output that was asked for."""

    url: str | None
    key_file: Path | None
    out: Output

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client, whose errors leave the block as a sentence that names the fix."""
        from dataqueue.client import Client, ProblemError, ServiceUnreachable

        with Client(self.url, None if self.key_file is None else _key_in(self.key_file)) as client:
            try:
                yield client
            except ProblemError as error:
                raise Refused(told(error), code=FAILED) from error
            except ServiceUnreachable as error:
                raise Refused(_told_unreachable(error), code=FAILED) from error


def session_of(
    url: Annotated[
        str | None,
        typer.Option(
            envvar="DATAQUEUE_API_URL", metavar="URL", help="Where the API is.", show_default="http://127.0.0.1:8000"
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that holds the API key; '-' is stdin. Without it the key is DATAQUEUE_API_KEY, if set.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one compact document, or one a line for a list.")
    ] = False,
) -> Session:
    return Session(url, key_file, Output(as_json=as_json))


def told(error: ProblemError) -> str:
    """What the service said, and what to do about it."""
    match error.code:
        case "unauthenticated":
            return f"{error} Set DATAQUEUE_API_KEY, or name a file with --key-file."
        case "insufficient_scope":
            return f"{error}. `dataqueue keys create --scopes …` makes a key that may."
        case "storage_unavailable" | "storage_not_ready" | "rate_limited":
            return f"{error} (Try again in a moment.)"
    if error.problem.status >= 500 and error.problem.request_id:
        return f"{error} (request {error.problem.request_id})"
    return str(error)


def _told_unreachable(error: ServiceUnreachable) -> str:
    maybe = " What was asked may have been done all the same." if error.outcome_unknown else ""
    return f"{error}.{maybe} Is `dataqueue dev` or `dataqueue serve` running there? --url names another address."


def _key_in(file: Path) -> str:
    import sys

    try:
        if str(file) == "-":
            return sys.stdin.readline(_LONGEST_KEY)
        with file.open() as lines:
            return lines.readline(_LONGEST_KEY)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise Refused(f"--key-file {file}: {reason}") from None
