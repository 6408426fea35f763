"""`dataqueue jobs import`: a file of jobs, one a line, however long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer

from workers.cli_errors import FAILED, Refused
from workers.cli_output import Output
from workers.cli_parameters import takes
from workers.cli_session import Session, session_of

if TYPE_CHECKING:
    from dataqueue.client.answers import ImportAnswer
    from workers.cli_progress import Advance

LONGEST_LINE: Final = 16 << 20


@takes("session", session_of)
def import_(
    session: Session,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The jobs: one JSON object a line; - is stdin.", show_default=False)
    ],
) -> None:
    """Enqueue a file of jobs, one JSON object a line (NDJSON), with the fields of POST /v1/jobs.

    Rejected lines are printed with their number, code and detail, and the others are stored: exit code 1 says that
    there were any. With --json every line's answer is printed. When it is cut off, give it the same file again:
    jobs that have an idempotency_key are not doubled.

    \b
    Examples:
      dataqueue jobs import jobs.ndjson
      jq -c '.[]' jobs.json | dataqueue jobs import -
    """
    from dataqueue.errors import DataQueueError
    from workers.cli_progress import progress

    heard = _Heard(session.out)
    with _opened(file) as (lines, size), session.client() as client:
        try:
            with progress("importing", total=size, in_bytes=True) as advance:
                for answer in client.import_jobs(_read(lines, advance)):
                    heard.take(answer)
        except (DataQueueError, Refused, KeyboardInterrupt):
            heard.tell_how_to_go_on(file)
            raise
    if heard.rejected:
        raise typer.Exit(FAILED)


class _Heard:
    """What has been answered so far."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last = self._answered = self.rejected = 0

    def take(self, answer: ImportAnswer) -> None:
        # Counted before it is shown: whoever saw it and pressed Ctrl-C is told of it.
        if "line" in answer:
            self._last = answer["line"]
            self._answered += 1
            self.rejected += "error" in answer
        if self._out.as_json:
            self._out.document(answer)
        elif "summary" in answer:
            counts = "{lines} lines: {created} created, {existing} existing, {rejected} rejected"
            self._out.note(counts.format(**answer["summary"]))
        elif "error" in answer:
            self._out.line(answer["line"], answer["error"]["code"], answer["error"]["detail"])

    def tell_how_to_go_on(self, file: str) -> None:
        same = "the same lines" if file == "-" else file
        self._out.note(
            f"Cut off after line {self._last}: {self._answered} lines were answered, {self.rejected} of them rejected."
            f" The thousand lines after it may have been stored or not. Import {same} again: jobs with an"
            " idempotency_key are not doubled."
        )


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and its size when it has one."""
    if file == "-":
        yield sys.stdin.buffer, None
        return
    try:
        path = Path(file)
        opened = path.open("rb")
    except OSError as error:
        raise Refused(f"cannot read {file}: {error.strerror}") from None
    with opened:
        yield opened, path.stat().st_size if path.is_file() else None


def _read(lines: BinaryIO, advance: Advance) -> Iterator[bytes]:
    number = 0
    while line := lines.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise Refused(f"line {number} is longer than 16 MiB: one job a line; a JSON array is no NDJSON")
        advance(len(line))
        yield line
