"""A real server told to stop: who waits is answered, and it ends (style: a process, not a pretence)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.api.support import enqueued, eventually

UVICORN = ["-m", "uvicorn", "app.main:create_app", "--factory", "--port", "0", "--no-access-log"]


@asynccontextmanager
async def served(**environment: str) -> AsyncIterator[tuple[Process, str]]:
    """A server in a process of its own, and where it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *UVICORN, env={**os.environ, **environment}, stderr=PIPE, stdout=PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while not (found := re.search(rb"http://127\.0\.0\.1:\d+", await process.stderr.readline())):
                assert process.returncode is None, "it did not start"
        yield process, found[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_stop_answers_who_waits_and_ends_the_process(storage_url: str) -> None:
    async with served(DATAQUEUE_URL=storage_url) as (process, address), httpx.AsyncClient(base_url=address) as client:
        job_id = await enqueued(client)
        waiting = asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=60", timeout=60))

        async def seen() -> bool:
            # The request is in hand once the one behind it has been answered.
            return (await client.get("/healthz")).status_code == 200

        await eventually("the server is busy", seen)
        async with asyncio.timeout(10):
            process.send_signal(signal.SIGTERM)
            response = await waiting
            assert (response.status_code, response.json()["status"]) == (200, "pending")
            await process.wait()


async def test_a_refusal_to_start_is_a_sentence(storage_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *UVICORN, env={**os.environ, "DATAQUEUE_URL": storage_url, "DATAQUEUE_HOST": "0.0.0.0"},
        stderr=PIPE, stdout=PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode not in (0, None)
    assert b"Refusing to listen on 0.0.0.0 without an API key" in said
    assert b"dataqueue keys create" in said
    assert b"Traceback" not in said
