"""Looking at real processes, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import psutil

POLL = 0.02
LONGEST = 20.0


async def until(condition: Callable[[], object], what: str, *, within: float = LONGEST) -> None:
    """Wait for a condition; AssertionError names it when it does not come true."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"after {within:g} s still not: {what}"
        await asyncio.sleep(POLL)


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def pids_in(folder: Path, kind: str = "pid") -> list[int]:
    """The processes that left a file of this kind."""
    return [int(file.stem) for file in folder.glob(f"*.{kind}")]
