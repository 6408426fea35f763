"""A process for jobs that are killed when their time is up.

Its watcher does it, and a thread of the worker's besides: the worker's loop may be blocked, and its threads slow.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Note
from dataqueue.outcome import Crashed, Outcome
from dataqueue.processing.attempt import failed, timed_out
from workers.isolation.channel import HOOKS
from workers.isolation.conversation import log_crash
from workers.isolation.job_process import AFTER_EXIT, LONGEST_START, TICK, JobProcess
from workers.isolation.messages import Ended, Noted, Ready, Run, Started, from_line, to_line

log = structlog.get_logger(__name__)

_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Ran:
    """What a job has come to, and whether another may follow it in its process."""

    outcome: Outcome
    clean: bool = False


class Killable:
    """One process, one job at a time. All but `kill` and `has_exited` block, and are for one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it, and wait until it is ready for a job, or never will be; OSError when the system will not."""
        self._process = JobProcess(command)
        self._rest = bytearray()
        self._lines: list[bytes] = []
        self._hard_end: float | None = None
        self.jobs = 0
        """Run so far."""
        self.is_fit, self._is_late, self._is_killed = False, False, False
        try:
            first = self._next(time.monotonic() + LONGEST_START)
        except TimeoutError:
            self._is_late = True
        else:
            self._process.is_watched = isinstance(first, Ready)
            self.is_fit = isinstance(first, Ready) and first.fit

    def has_exited(self) -> bool:
        return self._process.has_exited()

    def kill(self) -> None:
        self._is_killed = True
        self._process.kill()

    def end(self) -> int:
        """Kill it, and what it has started; its exit code."""
        return self._process.end()

    def run(self, job: ClaimedJob, note: Callable[[Note], None]) -> Ran | None:
        """Run a job to its outcome; its time begins when the handler is called, and not when it is handed over.

        None: the process, which has served others, was gone before it took the job up.
        """
        if self._is_late:
            return Ran(failed(TimeoutError(f"its own process was not ready within {LONGEST_START:g} s"), job))
        self.jobs += 1
        until: float | None = time.monotonic() + LONGEST_START
        has_started = False
        try:
            self._process.channel.settimeout(LONGEST_START)
            self._process.channel.sendall(to_line(Run(job, 0.0)))
        except OSError:  # found by the read that follows
            pass
        try:
            while True:
                match self._next(until):
                    case Started() as started:
                        has_started = True
                        until = started.deadline(job)
                    case Noted(note=said):
                        note(said)
                    case Ended(outcome, left):
                        self._hard_end = until
                        return self._ended(job, outcome, left)
                    case None if has_started and until is not None and time.monotonic() >= until:
                        raise TimeoutError
                    case None:
                        return self._gone(job, has_started=has_started)
        except TimeoutError:
            self.end()
            if not has_started:
                return Ran(failed(TimeoutError("its own process did not take it up"), job))
            log.warning("job.killed", job_id=str(job.id), job_type=job.job_type, why="its time is up")
            return Ran(timed_out(job))

    def retire(self) -> None:
        """Let it run its shutdown hooks, and end it; no later than what its last job has left running may go on."""
        until = time.monotonic() + HOOKS
        if self._hard_end is not None:
            until = min(until, self._hard_end)
        try:
            # Not closed: what it says meanwhile shall not be an error of its hooks.
            self._process.channel.shutdown(socket.SHUT_WR)
            while self._next(until) is not None:
                pass
        except TimeoutError:
            log.warning("isolation.not_retired", pid=self._process.pid)
        except OSError:
            pass
        self.end()

    def _ended(self, job: ClaimedJob, outcome: Outcome, left: Sequence[str]) -> Ran:
        if not left:
            self._hard_end = None
            return Ran(outcome, clean=self.is_fit)
        log.info("job.left_behind", job_id=str(job.id), job_type=job.job_type, left=left)
        return Ran(outcome)

    def _gone(self, job: ClaimedJob, *, has_started: bool) -> Ran | None:
        if not has_started and self.jobs > 1:
            return None
        code = self.end()
        if not self._is_killed:
            log_crash(job, code)
        return Ran(Crashed())

    def _next(self, until: float | None) -> Any:
        """The next message; None when the process ended without one. Raises TimeoutError."""
        while not self._lines:
            if until is not None and time.monotonic() >= until:
                raise TimeoutError
            if not self._hear(until):
                return None
        return from_line(self._lines.pop(0))

    def _hear(self, until: float | None) -> bool:
        """Wait for more for a moment; False when there will be none."""
        left = TICK if until is None else min(TICK, until - time.monotonic())
        self._process.channel.settimeout(max(left, 0.0001))
        try:
            more = self._process.channel.recv(_PIECE)
        except TimeoutError:
            if not self._process.has_exited():
                return True
            # What it left behind holds the channel open.
            self._process.kill()
            self._process.channel.settimeout(AFTER_EXIT)
            try:
                more = self._process.channel.recv(_PIECE)
            except OSError:
                return False
        except OSError:
            return False
        if not more:
            return False
        self._rest += more
        if b"\n" in more:
            *lines, rest = self._rest.split(b"\n")
            self._lines += [bytes(line) for line in lines]
            self._rest = rest
        return True
