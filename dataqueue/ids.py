"""What new things are called: jobs by UUIDv7 (RFC 9562, 5.7), sorted by the millisecond; workers by where they are."""

from __future__ import annotations

import os
import secrets
import socket
import time
from uuid import UUID

_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_RANDOM_BITS = (0xFFF << 64) | ((1 << 62) - 1)


def new_id() -> UUID:
    """A fresh id. Unique, and not an order: `seq`, drawn by the storage, is the order of enqueue."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") & _RANDOM_BITS
    return UUID(int=((milliseconds & 0xFFFF_FFFF_FFFF) << 80) | _VERSION_AND_VARIANT | random)


def new_worker_id() -> str:
    """Unique, and telling to whoever reads `locked_by`."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def is_uuid7(value: UUID) -> bool:
    """Whether an id handed in by a caller is of the one kind we make ourselves."""
    return value.version == 7
