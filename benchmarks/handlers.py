"""The handlers that the benchmark's workers run."""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime
from typing import Any

from dataqueue import JobContext, handler

_clock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@handler("noop")
async def noop(payload: dict[str, Any]) -> None:
    """Nothing to do: what it costs is the worker's."""


@handler("nap")
async def nap(payload: dict[str, Any], ctx: JobContext) -> None:
    """Wait, and be done."""
    await ctx.wait_until(datetime.fromisoformat(payload["until"]))


@handler("clock")
async def clock(payload: dict[str, Any]) -> None:
    """Say when it was started, by the clock that every process of the machine shares."""
    started = time.monotonic_ns()
    _clock.sendto(b"%d %d" % (payload["n"], started), os.environ["BENCH_SOCKET"])
