"""Asks a Redis server through its socket whether it serves."""

import socket
from enum import Enum, auto
from pathlib import Path
from typing import Final

TIMEOUT: Final = 2.0


class Answer(Enum):
    """What a PING says."""

    READY = auto()
    BUSY = auto()
    """It lives, and loads its data or runs a long script."""
    SILENCE = auto()


def ask(path: Path) -> Answer:
    """What the server behind a socket answers now."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            said = connection.recv(64)
    except OSError:
        return Answer.SILENCE
    if said.startswith(b"+PONG"):
        return Answer.READY
    return Answer.BUSY if said else Answer.SILENCE
