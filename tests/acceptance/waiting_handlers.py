"""A handler that ends when a test says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dataqueue import handler


@handler("wait_for_file")
async def wait_for_file(payload: dict[str, str]) -> None:
    while not Path(payload["file"]).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.02)
