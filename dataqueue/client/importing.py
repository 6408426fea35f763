"""Importing any number of jobs in bounded memory: lines go out some at a time, and their answers come back together.

Not as one long request: this HTTP library reads nothing before it has written all. Every answer would come at the very
end, a cut would leave all of it unknown, and nothing could be sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from dataqueue.client.answers import ImportAnswer, ImportSummary
from dataqueue.client.calls import Call
from dataqueue.client.encoding import decode, encode
from dataqueue.client.fields import JobFields, job_of
from dataqueue.client.problems import ServiceUnreachable

Line = JobFields | str | bytes
"""A job, or the text of one. Blank text is no job, and counts as a line."""
MOST_LINES: Final = 1000
"""As many as the service commits at a time."""
_MOST_BYTES: Final = 4 << 20
_EXTRA_TIME: Final = 120.0


def line_of(job: Line) -> bytes:
    """A job as a line without its end."""
    if isinstance(job, Mapping):
        return encode(job_of(job))
    line = job.encode() if isinstance(job, str) else job
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line:
        raise ValueError("a line holds the end of a line: give the lines of a text one by one")
    return line


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines that are sent together; `before` is how many went before them."""

    before: int
    lines: tuple[bytes, ...]

    def call(self) -> Call[list[ImportAnswer]]:
        """The call that imports them. It is repeatable when every job in them has an idempotency key."""
        return Call(
            method="POST",
            path="/v1/jobs/import",
            body=b"".join(line + b"\n" for line in self.lines),
            content_type="application/x-ndjson",
            read=self._numbered,
            parse=_answers_in,
            is_whole=_is_whole,
            repeatable=all(map(_is_repeatable, self.lines)),
            extra_time=_EXTRA_TIME,
        )

    def _numbered(self, answers: list[ImportAnswer] | None) -> list[ImportAnswer]:
        return [{**one, "line": one["line"] + self.before} if "line" in one else one for one in answers or ()]


class Chunker:
    """Gathers lines into chunks."""

    def __init__(self, jobs: object) -> None:
        if isinstance(jobs, str | bytes):
            raise TypeError("give the lines of a text one by one: text.splitlines()")
        self._before, self._lines, self._bytes = 0, list[bytes](), 0

    def add(self, job: Line) -> Iterator[Chunk]:
        """Take a line in; yields the chunk that is full without it, or with it."""
        line = line_of(job)
        if self._bytes + len(line) > _MOST_BYTES:
            yield from self.rest()
        self._lines.append(line)
        self._bytes += len(line)
        if len(self._lines) == MOST_LINES:
            yield from self.rest()

    def rest(self) -> Iterator[Chunk]:
        """Yields the chunk of the lines that are still here, if any."""
        if self._lines:
            lines, self._lines, self._bytes = tuple(self._lines), [], 0
            before, self._before = self._before, self._before + len(lines)
            yield Chunk(before, lines)


class Tally:
    """Adds up what the chunks came to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._summary: ImportSummary = {"lines": 0, "created": 0, "existing": 0, "rejected": 0}

    def take(self, answers: list[ImportAnswer]) -> Iterator[ImportAnswer]:
        """The answers about lines; a summary is added to the sum. ServiceUnreachable, last, if there is none."""
        is_whole = False
        for answer in answers:
            if "summary" in answer:
                is_whole = True
                for name in self._summary:
                    self._summary[name] += answer["summary"][name]  # type: ignore[literal-required] # its own names
            else:
                yield answer
        if not is_whole:
            raise ServiceUnreachable(
                f"{self._url} stopped in the midst of its answer", url=self._url, outcome_unknown=True
            )

    def summary(self) -> ImportAnswer:
        return {"summary": self._summary}


def _answers_in(text: bytes) -> list[Any]:
    whole, end, _ = text.rpartition(b"\n")  # what is without an end broke off
    return [decode(line) for line in (whole + end).splitlines()]


def _is_whole(response: httpx.Response) -> bool:
    """The summary comes last: without it the service stopped in the midst."""
    last = response.content.removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        return "summary" in decode(last)
    except (ValueError, TypeError):
        return False


def _is_repeatable(line: bytes) -> bool:
    """Whether sending it again stores nothing more: a blank line, nonsense, or a job with an idempotency key."""
    try:
        job = decode(line)
    except ValueError:
        return True
    except RecursionError:
        return False
    return not isinstance(job, dict) or isinstance(job.get("idempotency_key"), str)
