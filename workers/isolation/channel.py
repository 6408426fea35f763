"""The line between the process of an isolated job and its worker, at the child's end."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from workers.isolation.messages import FromChild, from_line, to_line

OPTION: Final = "--channel"
HOOKS: Final = 5.0
"""How long the shutdown hooks of a child may take, seconds."""
_PIECE: Final = 1 << 16
_LONGEST_SEND: Final = 3600.0


class Channel:
    """Sends from any thread, hears on the event loop.

    `send` returns when the kernel has the line: what a handler has said before it crashes is said.
    """

    def __init__(self, descriptor: int) -> None:
        # What a handler starts must not hold this line open.
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        # Not None: the loop makes the descriptor a non-blocking one, and then only a socket with a timeout waits.
        self._socket.settimeout(_LONGEST_SEND)
        self._sending = threading.Lock()
        self._rest = bytearray()

    def send(self, message: FromChild) -> None:
        line = to_line(message)
        # A worker that is gone needs no word; whoever watches over us ends us.
        with self._sending, suppress(OSError):
            self._socket.sendall(line)

    def end(self) -> None:
        """Say that there is nothing more to say."""
        # Not by closing it: a handler may have forked copies.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def attach(self, hear: Callable[[Any], None]) -> None:
        """Let `hear` be called with each message, and with None when there will be no more."""
        self._hear = hear
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        try:
            more = os.read(self._socket.fileno(), _PIECE)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._hear(None)
            return
        self._rest += more
        if b"\n" not in more:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._hear(from_line(line))
