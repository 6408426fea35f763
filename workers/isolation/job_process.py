"""A process for isolated jobs, as its worker holds it: a channel, a life line, and the power to end it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from typing import Final

from workers.isolation.channel import OPTION
from workers.isolation.process_tree import end_session, signal_group

LARGEST_LINE: Final = 64 << 20
TICK: Final = 0.2
"""How often to look whether a process that says nothing has ended: what it started may hold its channel open."""
LONGEST_START: Final = 60.0
_WATCHER: Final = 3.0
"""How long a watcher may take to end its session, seconds: its machine may be busy."""
AFTER_EXIT: Final = 1.0
"""How long what a process has said with its last breath may be on its way, seconds."""


class JobProcess:
    """Started in a session of its own, and ended by itself when this process dies. May be used from any thread.

    `end` blocks, as does making one.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Start it; OSError when the system will not."""
        self.channel, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [*command, OPTION, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            self.channel.close()
            raise
        finally:
            theirs.close()
        self.is_watched = False
        """Whether it has said that it is ready: by then it has a watcher."""
        self._is_killed = False
        self._ending = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_exited(self) -> bool:
        """It may have left others running. Not reaped before `end`: until then its number is nobody else's."""
        with self._ending:
            if self._process.returncode is not None:
                return True
            if not hasattr(os, "waitid"):
                return self._process.poll() is not None
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """From this moment on nothing of its group runs; see that it ends, with all that it has started.

        That is its watcher's to do, once there is one: a thread of ours would take long over it, as each of many small
        calls may have to wait for a handler that lets go of the interpreter only when it has to.
        """
        with self._ending:
            if self._process.returncode is not None or self._is_killed:
                return
            self._is_killed = True
            if self.is_watched:
                signal_group(self.pid, signal.SIGSTOP)
                self._cut_life_line()
            else:
                end_session(self.pid)

    def end(self) -> int:
        """Kill it, wait until it is dead, and forget it; its exit code."""
        self.kill()
        with self._ending:
            try:
                code = self._process.wait(_WATCHER)
            except subprocess.TimeoutExpired:
                end_session(self.pid)
                code = self._process.wait()
        self.channel.close()
        self._cut_life_line()
        return code

    def _cut_life_line(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
