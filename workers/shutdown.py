"""What a process was told: to drain, then perhaps to hurry."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SAME_REQUEST: Final = 0.5


class Shutdown:
    """`drain` and `hurry`, to be awaited; told from signals, from other threads, and before the loop runs.

    `interrupting`: what is told before `attach` also interrupts whatever the main thread does, as a signal would.
    """

    def __init__(self, *, interrupting: bool = False) -> None:
        self._interrupting = interrupting
        self.drain, self.hurry = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._attaching = threading.RLock()  # a signal may interrupt its holder
        self._told_at: float | None = None

    def attach(self) -> None:
        """Called inside the loop, before anything waits for the events."""
        with self._attaching:
            self._loop = asyncio.get_running_loop()

    @property
    def by_signal(self) -> bool:
        """Whether a signal has spoken, and not only a parent."""
        return self._told_at is not None

    def tell_drain(self) -> None:
        self._tell(self.drain)

    def tell_hurry(self) -> None:
        self._tell(self.drain)
        self._tell(self.hurry)

    def only_take_note(self) -> None:
        """From here on a signal interrupts nothing: whatever starts next finds `drain` set."""
        self._interrupting = False
        for number in _heard():
            signal.signal(number, lambda *_: self.tell_drain())

    def on_signals(self, *, second_hurries: bool) -> None:
        """Let signals speak. A second one within half a second is the same request, sent to a group and a process."""
        loop = asyncio.get_running_loop()

        def told() -> None:
            if self._told_at is None:
                self._told_at = loop.time()
                self.tell_drain()
            elif second_hurries and loop.time() - self._told_at > _SAME_REQUEST:
                self.tell_hurry()

        for number in _heard():
            loop.add_signal_handler(number, told)

    def _tell(self, event: asyncio.Event) -> None:
        with self._attaching:
            if self._loop is None:
                event.set()
                if self._interrupting:
                    os.kill(os.getpid(), signal.SIGTERM)
            elif not self._loop.is_closed():
                self._loop.call_soon_threadsafe(event.set)


class Leaving(SystemExit):
    """A signal unwinds the stack; whoever catches SystemExit for other reasons lets this one pass."""


def leave_by_exception(code: int = 0) -> None:
    """Until a loop takes the signals over, let them unwind the stack, so that every `finally` runs."""

    def leave(number: int, frame: object) -> None:
        raise Leaving(code)

    for number in _heard():
        signal.signal(number, leave)


def _heard() -> list[signal.Signals]:
    """Not the end of the terminal's session, when `nohup` has said that it is nothing to us."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in SIGNALS if not (ignored and number is signal.SIGHUP)]


def in_thread(work: Callable[[], None], *, name: str) -> None:
    """Run beside a loop that may be blocked, and never hold the process."""
    threading.Thread(target=work, name=name, daemon=True).start()


def kill_session(leader: int) -> None:
    """End the process that leads a session, if it is still there, and all of its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
