"""A body cut into lines as it arrives, and a job made of each."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from app.errors import Code, Problem
from app.schemas.enqueue import EnqueueRequest, new_job
from app.validation import problem_from
from dataqueue.domain.job import NewJob


class Lines:
    """Lines end with a newline, the last one perhaps without. One longer than `longest` bytes is None, and not kept."""

    def __init__(self, *, longest: int) -> None:
        self._longest = longest
        self._begun = bytearray()
        self._is_too_long = False

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """The lines that end in what has arrived."""
        *ends, begun = chunk.split(b"\n")
        lines: list[bytes | None] = []
        for end in ends:
            if self._begun or self._is_too_long:
                self._keep(end)
                lines.append(self._finished())
            else:
                lines.append(end if len(end) <= self._longest else None)
        self._keep(begun)
        return lines

    def end(self) -> list[bytes | None]:
        """The last line, when no newline ended it."""
        return [self._finished()] if self._begun or self._is_too_long else []

    def _keep(self, part: bytes) -> None:
        if self._is_too_long or len(self._begun) + len(part) > self._longest:
            self._is_too_long = True
            self._begun.clear()
        else:
            self._begun += part

    def _finished(self) -> bytes | None:
        line = None if self._is_too_long else bytes(self._begun)
        self._begun.clear()
        self._is_too_long = False
        return line


class Rejected(NamedTuple):
    """Why a line is not stored. No exception: that would keep the line itself as long as its answer waits."""

    code: str
    detail: str


class LineReader:
    """Makes a job of a line, by the rules of POST /v1/jobs."""

    def __init__(self, *, max_line_bytes: int, max_payload_bytes: int) -> None:
        self.max_line_bytes, self._max_payload_bytes = max_line_bytes, max_payload_bytes
        self._validate = TypeAdapter(EnqueueRequest).validator.validate_json

    def read(self, line: bytes | None) -> NewJob | Rejected:
        """The job; None is a line that was too long."""
        if line is None:
            detail = f"The line is larger than the limit of {self.max_line_bytes} bytes."
            return Rejected(Code.BODY_TOO_LARGE, detail)
        try:
            return new_job(self._validate(line), max_payload_bytes=self._max_payload_bytes)
        except ValidationError as error:
            problem = problem_from(error, at=("body",))
        except Problem as error:
            problem = error
        return Rejected(problem.code, problem.detail)
