"""A process beside one that runs jobs, which ends it with all that it has started: when the worker is dead, or says so,
and when the time is up of a job that is to be killed."""

from __future__ import annotations

import os
import select
import struct
import time
from typing import Final

from workers.isolation.process_tree import end_session

_LIFE_LINE: Final = 0
_INSTANT: Final = struct.Struct("d")
_NEVER: Final = float("inf")


class Watcher:
    """A process, because a handler, or all those of the worker, may keep an interpreter's threads from running.

    Forked, which is safe as long as there are no threads, and before there is anything of a handler's to copy. Not our
    child, so that any child we have is a handler's; and in a group of its own, which is not stopped when ours is.
    """

    def __init__(self, *others: int) -> None:
        """Takes the life line, our stdin, over. `others`: descriptors that it must not hold open."""
        leader = os.getpid()
        heard, self._told = os.pipe()
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                os.setpgid(0, 0)
                for descriptor in (*others, self._told):
                    os.close(descriptor)
                _wait_for_the_end(heard)
                end_session(leader)
            os._exit(0)
        os.waitpid(middle, 0)
        os.close(heard)
        # Nobody finds the life line: the handler's stdin is empty.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, _LIFE_LINE)
        os.close(nothing)

    def end_at(self, instant: float | None) -> None:
        """End us at an instant (time.monotonic), or not before we are told to."""
        os.write(self._told, _INSTANT.pack(_NEVER if instant is None else instant))


def _wait_for_the_end(told: int) -> None:
    instant, sources = _NEVER, [_LIFE_LINE, told]
    while (left := instant - time.monotonic()) > 0:
        ready, _, _ = select.select(sources, [], [], None if left == _NEVER else left)
        if _LIFE_LINE in ready and not os.read(_LIFE_LINE, 1):
            return
        if told in ready:
            # Small enough to arrive whole.
            if message := os.read(told, _INSTANT.size):
                (instant,) = _INSTANT.unpack(message)
            else:
                sources.remove(told)
