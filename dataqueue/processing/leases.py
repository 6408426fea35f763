"""The leases this worker holds, and until when it may believe in them. Used from two threads."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Lease
from dataqueue.work import OnTimeout, Work

_LEAST_MARGIN: Final = 1.0
_MARGIN: Final = 0.1


class Stop(Enum):
    """Why a handler is told to stop."""

    LOST = auto()
    CANCELLED = auto()
    TIMED_OUT = auto()
    RELEASED = auto()


_NOTHING_LEFT_TO_SAY: Final = (Stop.LOST, Stop.CANCELLED)


class Held:
    """A job in this worker's hands: how long its lease is good for, and what has been said to its handler.

    `settled`: its outcome is chosen, and handed to the reporter unless nothing is left to say. The lease may
    still have to be kept until that is written.
    """

    __slots__ = ("deadline", "job", "lease", "on_timeout", "ran", "settled", "stop", "task", "timer", "work")

    def __init__(self, job: ClaimedJob, deadline: float) -> None:
        self.job: Final = job
        self.lease: Final = job.lease
        self.deadline = deadline
        self.stop: Stop | None = None
        self.settled = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.work: Work | None = None
        """What its handler's context rests on, once that has been called."""
        self.on_timeout: OnTimeout | None = None
        """What its handler has left to be asked for more time."""
        self.ran = 0.0
        """Seconds that its handler ran, once that has ended."""

    @property
    def cancelled(self) -> bool:
        """As a handler's context asks."""
        return self.stop is not None

    @property
    def runs_undisturbed(self) -> bool:
        return self.stop is None and not self.settled


class LeaseTable:
    """Every lease held. A worker's own deadline for it lies before its end, by this process' steady clock."""

    def __init__(self, *, lease: float) -> None:
        self.lease: Final = lease
        self.believed: Final = lease - max(_LEAST_MARGIN, lease * _MARGIN)
        """How long after it was asked for a lease is believed in."""
        self._held: set[Held] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, jobs: Iterable[ClaimedJob], *, sent: float) -> list[Held]:
        """Enter jobs claimed by a statement that was sent at `sent` (time.monotonic)."""
        deadline = sent + self.believed
        taken = [Held(job, deadline) for job in jobs]
        with self._lock:
            self._held.update(taken)
        return taken

    def drop(self, held: Iterable[Held]) -> None:
        """Forget leases: what was to be written is, or will never be."""
        with self._lock:
            self._held.difference_update(held)

    def leases(self) -> list[Lease]:
        """Every lease in hand, reports that wait to be written included."""
        with self._lock:
            return [held.lease for held in self._held]

    def to_renew(self) -> list[Held]:
        """Leases to extend: of every running job, and of a report that has been waiting for long."""
        late = time.monotonic() + self.believed / 2
        with self._lock:
            return [held for held in self._held if not held.settled or held.deadline < late]

    def renew(self, held: Iterable[Held], *, sent: float) -> None:
        """Extended by a statement that was sent at `sent`."""
        deadline = sent + self.believed
        with self._lock:
            for one in held:
                one.deadline = max(one.deadline, deadline)

    def tell(self, held: Held, stop: Stop) -> bool:
        """Tell a handler to stop, visible at once in every thread; False when it has ended or was told before."""
        with self._lock:
            if held.settled or held.stop is not None:
                return False
            held.stop = stop
            if stop in _NOTHING_LEFT_TO_SAY:
                self._held.discard(held)
            return True

    def overdue(self) -> list[Held]:
        """Running jobs whose deadline has passed."""
        now = time.monotonic()
        with self._lock:
            return [held for held in self._held if held.runs_undisturbed and held.deadline <= now]

    def next_look(self) -> float:
        """Seconds until a deadline may have passed; leases that are taken meanwhile included."""
        with self._lock:
            earliest = min((held.deadline for held in self._held if held.runs_undisturbed), default=math.inf)
        return min(max(earliest - time.monotonic(), 0.0), self.believed / 4)
