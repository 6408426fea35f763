"""What a handler may know of the job it is doing, and nothing more."""

from __future__ import annotations

from typing import Final, Protocol

from dataqueue.domain.job import ClaimedJob


class Cancellation(Protocol):
    """Whether somebody has told this attempt to stop. May be asked from any thread."""

    @property
    def cancelled(self) -> bool: ...


class _Never:
    cancelled: Final = False


NEVER: Final[Cancellation] = _Never()


class JobContext:
    """Given to a handler that takes a second argument."""

    __slots__ = ("_cancellation", "job")

    def __init__(self, job: ClaimedJob, cancellation: Cancellation = NEVER) -> None:
        self.job: Final = job
        self._cancellation = cancellation

    @property
    def attempt(self) -> int:
        """The number of this attempt: 1 for the first."""
        return self.job.attempts

    @property
    def cancelled(self) -> bool:
        """Whether the job was cancelled, taken away, ran out of time, or must be given back now.

        An async handler is interrupted by itself. One that runs in a thread looks here and returns early;
        whatever it returns then does not count.
        """
        return self._cancellation.cancelled
