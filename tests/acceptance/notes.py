"""What handlers note down while they run, whichever process they run in, and how a test reads it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.acceptance.processes import until

VARIABLE: Final = "ACCEPTANCE_NOTES"


@dataclass(frozen=True, slots=True)
class Note:
    """`at` is the steady clock of the machine, the same in every process."""

    job_id: str
    word: str
    pid: int
    at: float


def note(job_id: object, word: str) -> None:
    """Note a word about a job; for handlers."""
    line = json.dumps([str(job_id), word, os.getpid(), time.monotonic()]) + "\n"
    descriptor = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


class Notes:
    """All that the handlers of some workers have noted down."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __iter__(self) -> Iterator[Note]:
        with suppress(FileNotFoundError):
            for line in self.file.read_text().splitlines():
                yield Note(*json.loads(line))

    def of(self, job_id: str, word: str) -> list[Note]:
        return [one for one in self if (one.job_id, one.word) == (job_id, word)]

    def until(self, job_id: str, word: str, *, count: int = 1, within: float = 30) -> Note:
        """Wait until a word was noted so many times; the last of them."""
        what = f"{word!r} of job {job_id}, {count} times"
        return until(lambda: len(found := self.of(job_id, word)) >= count and found, what, within=within)[-1]
