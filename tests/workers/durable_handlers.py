"""Durable handlers, for a process of their own."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from dataqueue import JobContext, handler
from dataqueue.errors import Invalid, LeaseLost, NotFound, StorageRefused, StorageUnavailable

_ERRORS = (Invalid, LeaseLost, NotFound, StorageRefused, StorageUnavailable)


@handler("steps")
async def steps(payload: object, ctx: JobContext) -> object:
    async def first() -> str:
        return ctx.step_id

    def second(by: int) -> int:
        return os.getpid() * 0 + by

    made = [await ctx.run("first", first), await ctx.run("second", second, 7)]
    await ctx.set_progress(50)
    await ctx.set_output({"half": True})
    await ctx.set_output(made)
    return "not this"


@handler("crashes_between")
async def crashes_between(payload: dict[str, str], ctx: JobContext) -> str:
    """Its process dies between two steps, once."""
    flag = Path(payload["folder"]) / "crashed"
    first = await ctx.run("first", _leave, payload["folder"])
    if not flag.exists():
        flag.touch()
        os._exit(1)
    await ctx.wait_for(seconds=0.2)
    return f"{first}, {await ctx.run('second', lambda: 'two')}"


def _leave(folder: str) -> str:
    (Path(folder) / f"{time.monotonic_ns()}.step").touch()
    return "one"


@handler("gathers")
async def gathers(payload: int, ctx: JobContext) -> list[int]:
    async def give(n: int) -> int:
        return n

    return list(await asyncio.gather(*(ctx.run(f"s{n}", give, n) for n in range(payload))))


@handler("waits")
async def waits(payload: object, ctx: JobContext) -> str:
    await ctx.run("before", lambda: 1)
    await ctx.wait_for(timedelta(hours=36), name="rest")
    return "after the wait"


@handler("token")
async def token(payload: object, ctx: JobContext) -> str:
    made = await ctx.create_token(timeout="48h", tags=["t"])
    await ctx.run("mail", lambda: made.callback_url)
    return str((await ctx.wait_for_token(made)).output)


@handler("asks_for_token")
async def asks_for_token(payload: str, ctx: JobContext) -> str:
    try:
        await ctx.wait_for_token(UUID(payload))
    except NotFound as error:
        return str(error)
    return "found"


@handler("says_what_it_caught")
async def says_what_it_caught(payload: object, ctx: JobContext) -> list[object]:
    try:
        await ctx.run("step", lambda: 1)
    except _ERRORS as error:
        return [type(error).__name__, str(error), getattr(error, "outcome_unknown", None)]
    return []


@handler("saves")
async def saves(payload: object, ctx: JobContext) -> None:
    await ctx.run("step", lambda: 1)


@handler("asks_for_more")
async def asks_for_more(payload: dict[str, list[float | None]], ctx: JobContext) -> str:
    """Sleeps until it is told to stop; asks for more time as often as it is told to."""
    more = iter(payload["more"])
    ctx.on_timeout(lambda: next(more))
    await asyncio.sleep(60)
    return "never"


@handler("prolongs")
async def prolongs(payload: dict[str, float], ctx: JobContext) -> str:
    for _ in range(3):
        ctx.prolong()
        await asyncio.sleep(payload["each"])
    return "in time"


@handler("prolongs_in_thread")
def prolongs_in_thread(payload: dict[str, float], ctx: JobContext) -> str:
    for _ in range(3):
        ctx.prolong(60_000)
        time.sleep(payload["each"])
    return "in time"


@handler("deaf")
async def deaf(payload: object) -> str:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@handler("blocks_its_loop")
async def blocks_its_loop(payload: object) -> str:
    time.sleep(60)  # noqa: ASYNC251 - it is to
    return "never"


@handler("looks")
def looks(payload: dict[str, str], ctx: JobContext) -> str:
    while not ctx.cancelled:
        time.sleep(0.01)
    (Path(payload["folder"]) / "cleaned up").touch()
    return "half of it"
