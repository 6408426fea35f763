"""Ending a process that leads a session, with whatever it has started, wherever that has gone.

A session's group is killed by one signal. What has left the group (`setsid`, a shell's job control) is found by its
parents, in /proc; where there is none (macOS) it is not.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import Final, NamedTuple

_PROC: Final = "/proc"
_MOST_ROUNDS: Final = 20
_SET_CHILD_SUBREAPER: Final = 36


class _Process(NamedTuple):
    pid: int
    parent: int
    group: int
    session: int


def adopt_orphans() -> None:
    """Be the parent of what our children leave behind, instead of init: `has_children` and `end_session` find it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def has_children() -> bool:
    """Whether this process has any that run; those that have ended are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def signal_group(leader: int, number: signal.Signals) -> None:
    """A signal to the process and those of its group; nothing when there are none."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_session(leader: int) -> None:
    """Kill a process that is not reaped yet, and its offspring. From the first moment none of its group goes on."""
    signal_group(leader, signal.SIGSTOP)
    # A stopped process still adopts orphans: nothing gets lost between two rounds, and what was found may have started
    # something else before it was killed.
    killed: set[int] = set()
    for _ in range(_MOST_ROUNDS):
        found = {one.pid for one in _offspring(leader) if one.group != leader} - killed
        if not found:
            break
        _kill(found)
        killed |= found
    signal_group(leader, signal.SIGKILL)
    # In the session and no offspring: the watcher, which ends a session whose worker dies meanwhile; and what a process
    # that has crashed has left.
    _kill({one.pid for one in _processes() if one.session == leader and one.group != leader})


def _kill(pids: set[int]) -> None:
    for pid in pids - {os.getpid()}:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _offspring(leader: int) -> list[_Process]:
    children: dict[int, list[_Process]] = {}
    for one in _processes():
        children.setdefault(one.parent, []).append(one)
    found, look = [], [leader]
    while look:
        born = children.get(look.pop(), [])
        found += born
        look += [one.pid for one in born]
    return found


def _processes() -> list[_Process]:
    """All that run."""
    try:
        names = os.listdir(_PROC)  # noqa: PTH208 - twice as fast, of names alone
    except OSError:
        return []
    found = []
    for name in names:
        if not name.isdecimal():
            continue
        try:
            with open(f"{_PROC}/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                # The name of the program, in parentheses, may hold anything.
                state, parent, group, session = file.read().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if state != b"Z":
            found.append(_Process(int(name), int(parent), int(group), int(session)))
    return found
