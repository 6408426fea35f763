"""Handlers that behave and misbehave, for workers under test: `dataqueue worker --import tests.acceptance.handlers`."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypedDict

from dataqueue import JobContext, Reject, handler
from tests.acceptance.notes import note

_POLL: Final = 0.02


def _endless() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


NOT_JSON: Final[dict[str, Callable[[], Any]]] = {
    "object": object,
    "not a number": lambda: {"ratio": float("nan")},
    "lone surrogate": lambda: "\ud800",
    "NUL": lambda: {"text": "a\0b"},
    "endless": _endless,
}
"""What cannot be kept as a job's output."""


class File(TypedDict):
    file: str


class Seconds(TypedDict):
    seconds: float


class Kind(TypedDict):
    kind: str


class Message(TypedDict):
    message: str


@handler("fine")
async def fine(payload: Any, ctx: JobContext) -> Any:
    note(ctx.job.id, "started")
    return payload


@handler("waits")
async def waits(payload: File, ctx: JobContext) -> int:
    """Until a file is there; the number of the process that saw it."""
    note(ctx.job.id, "started")
    try:
        while not Path(payload["file"]).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(_POLL)
    except asyncio.CancelledError:
        note(ctx.job.id, "cancelled")
        raise
    note(ctx.job.id, "finished")
    return os.getpid()


@handler("waits_in_thread")
def waits_in_thread(payload: File, ctx: JobContext) -> int:
    """As `waits`, for a plain function, which has to ask."""
    note(ctx.job.id, "started")
    while not Path(payload["file"]).exists():
        if ctx.cancelled:
            note(ctx.job.id, "cancelled")
            break
        time.sleep(_POLL)
    return os.getpid()


@handler("blocks")
async def blocks(payload: Seconds, ctx: JobContext) -> int:
    """As a handler does that calculates, or calls a driver that knows no asyncio."""
    note(ctx.job.id, "started")
    time.sleep(payload["seconds"])  # noqa: ASYNC251 - it is bad, and that is the point
    return os.getpid()


@handler("not_json")
async def not_json(payload: Kind, ctx: JobContext) -> Any:
    note(ctx.job.id, "started")
    return NOT_JSON[payload["kind"]]()


@handler("rejects")
async def rejects(payload: Message) -> None:
    raise Reject(payload["message"])


@handler("exits")
async def exits(payload: Any, ctx: JobContext) -> None:
    note(ctx.job.id, "started")
    os._exit(0)


@handler("kills_itself")
def kills_itself(payload: Any, ctx: JobContext) -> None:
    note(ctx.job.id, "started")
    os.kill(os.getpid(), signal.SIGKILL)


@handler("buried")
async def buried(payload: dict[str, Any]) -> Any:
    return payload["original_job"]["id"]
