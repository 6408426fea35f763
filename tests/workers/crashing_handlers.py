"""Handlers for a worker under test: one does its work, one ends the process it runs in."""

from __future__ import annotations

import os

from dataqueue import handler


@handler("fine")
async def fine(payload: object) -> str:
    return "done"


@handler("exits")
async def exits(payload: object) -> None:
    os._exit(1)
