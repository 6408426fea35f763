"""Handlers that log, and fail with messages that nobody may read in a log."""

from __future__ import annotations

import logging
import os
from typing import Any

import structlog

from dataqueue import JobContext, handler
from tests.acceptance.handlers import exits, fine

__all__ = ["exits", "fine"]


@handler("tells")
async def tells(payload: Any) -> None:
    """Logs in both ways that there are."""
    structlog.get_logger("mail").info("mail.sent")
    logging.getLogger("mail").warning("it was slow\nvery slow")


@handler("tells_in_thread")
def tells_in_thread(payload: Any) -> None:
    structlog.get_logger("mail").info("mail.sent_in_thread")


@handler("crashes_then_tells")
async def crashes_then_tells(payload: Any, ctx: JobContext) -> None:
    """The second time it is run in a process of its own."""
    if not ctx.job.crashes:
        os._exit(1)
    structlog.get_logger("mail").info("mail.sent_alone")


@handler("fails")
async def fails(payload: Any) -> None:
    raise ValueError(f"cannot do {payload}")
