"""The line between a process and the one that started it.

A socket, not signals: it tells a drain from a hurry however often a terminal or an init system sends SIGTERM
to everybody, and it ends by itself when the parent is killed.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from enum import Enum
from typing import Final

from workers.shutdown import Shutdown, in_thread, kill_session

OPTION: Final = "--tether"


class Word(Enum):
    """What a parent says."""

    DRAIN = b"d"
    HURRY = b"h"


class Tether:
    """The child's end: tells `shutdown` what the parent says, and a drain when the parent is gone."""

    def __init__(self, descriptor: int, shutdown: Shutdown, *, last_resort: float) -> None:
        """`last_resort`: seconds that an orphan is given before it ends itself, however busy its loop is."""
        # What a handler starts must not hold this line open.
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._shutdown, self._last_resort = shutdown, last_resort
        in_thread(self._listen, name="tether")

    def ready(self, about: Mapping[str, object]) -> None:
        """Say once that this process does its work now."""
        try:
            self._socket.sendall(json.dumps(about).encode() + b"\n")
        except OSError:
            self._shutdown.tell_drain()

    def _listen(self) -> None:
        while word := self._hear():
            if word == Word.HURRY.value:
                self._shutdown.tell_hurry()
            else:
                self._shutdown.tell_drain()
        self._shutdown.tell_drain()
        time.sleep(self._last_resort)
        kill_session(os.getpid())
        os._exit(1)

    def _hear(self) -> bytes:
        try:
            return self._socket.recv(1)
        except OSError:
            return b""
