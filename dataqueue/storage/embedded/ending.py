"""Ends a server's processes: asked first, forced in the end."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Final

POLL: Final = 0.01


def has_ended(
    steps: Iterable[tuple[signal.Signals, float]],
    *,
    is_alive: Callable[[], bool],
    process_number: Callable[[], int | None],
) -> bool:
    """Whether no process of the server is left after these signals, each given that many seconds."""
    return any(_gone_after(*step, is_alive, process_number) for step in steps)


def _gone_after(
    sign: signal.Signals, patience: float, is_alive: Callable[[], bool], process_number: Callable[[], int | None]
) -> bool:
    deadline = time.monotonic() + patience
    told: int | None = None
    while is_alive():
        # Asked again each time: a server that is only starting has no process number yet.
        pid = process_number()
        if pid is not None and pid != told:
            told = pid
            _send(pid, sign)
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def _send(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return
