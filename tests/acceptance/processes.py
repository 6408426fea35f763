"""Our commands as real processes: what they say, whom they have started, and the end of all of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self, TypeVar
from uuid import uuid4
from weakref import WeakSet

import psutil

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
_COMMAND: Final = (sys.executable, "-P", "-m", "workers")
_MARK: Final = "ACCEPTANCE_MARK"
_POLL: Final = 0.02
_LONGEST_LINE: Final = 600


def until(
    condition: Callable[[], T | Literal[False] | None], what: str, *, within: float = 30, every: float = _POLL
) -> T:
    """Wait for a condition; what it says when it holds."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"after {within:g} s still not: {what}"
        time.sleep(every)
    return answer


class Process:
    """A command in a session of its own, ended with all it has started when the block ends.

    Whatever a process starts inherits the mark in its environment, also when its parent is long gone.
    """

    running: ClassVar[WeakSet[Process]] = WeakSet()

    def __init__(self, *arguments: str, log: Path, settings: Mapping[str, object], **variables: str) -> None:
        self._log, self._mark = log, uuid4().hex
        ours = {name: value for name, value in os.environ.items() if not name.startswith("DATAQUEUE_")}
        given = {f"DATAQUEUE_{name.upper()}": str(value) for name, value in settings.items()}
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [*_COMMAND, *arguments],
                cwd=ROOT,
                env=ours | given | variables | {_MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.running.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.tell()
        self.end()

    def tell(self, *, since: int = 0) -> None:
        """Write out what it has said, tracebacks and statements shortened."""
        lines = (line[:_LONGEST_LINE] for line in self.said[since:].splitlines())
        sys.stdout.write("\n".join([f"--- process {self.pid} said:", *lines, ""]))

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def logged(self, event: str | None = None, **fields: object) -> list[dict[str, Any]]:
        """The lines of its log about such an event, or about any."""
        lines = [json.loads(line) for line in self.said.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if event in {None, line.get("event")} and fields.items() <= line.items()]

    def until_logged(self, event: str, *, count: int = 1, **fields: object) -> dict[str, Any]:
        """Wait for such lines in its log; the last of them."""

        def found() -> list[dict[str, Any]] | None:
            assert not self.has_ended, f"it ended without: {event}"
            return lines if len(lines := self.logged(event, **fields)) >= count else None

        return until(found, f"a log with: {event}")[-1]

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def family(self) -> list[psutil.Process]:
        """Itself and whatever it or one of its own has started, as far as it lives."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = 30) -> int:
        """Signal it alone; its exit code."""
        self.send(number)
        return self.exit_code(within=within)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_code(self, *, within: float = 30) -> int:
        return self._process.wait(timeout=within)

    def end(self) -> None:
        """Kill all that lives of it, wherever it has got to."""
        while left := self.family():
            for process in left:
                process.kill()
            psutil.wait_procs(left, timeout=0.1)
        self._process.wait()
        self.running.discard(self)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False
