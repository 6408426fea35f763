"""Handlers of jobs that are killed when their time is up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dataqueue import JobContext, handler, on_shutdown, on_startup
from dataqueue.errors import Unsupported

_hooks: list[str] = []
# Writes the time into a file, again and again.
_WRITER = """
import sys, time
with open(sys.argv[1], "a", buffering=1) as file:
    while True:
        file.write(f"{time.monotonic()}\\n")
        time.sleep(0.001)
"""


@on_startup
async def _started() -> None:
    _hooks.append("started")
    asyncio.create_task(asyncio.sleep(3600))  # noqa: RUF006 - a hook's own, which is no job's
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


@on_shutdown
def _stopped() -> None:
    if folder := os.environ.get("TEST_HOOKS"):
        (Path(folder) / f"{os.getpid()}.stopped").touch()


@handler("pid")
async def pid(payload: object) -> list[object]:
    return [os.getpid(), _hooks]


@handler("pid_in_thread")
def pid_in_thread(payload: object) -> list[object]:
    return [os.getpid(), _hooks]


@handler("noop")
async def noop(payload: object) -> None: ...


@handler("naps")
async def naps(payload: float) -> int:
    await asyncio.sleep(payload)
    return os.getpid()


@handler("fails")
async def fails(payload: object) -> None:
    raise ValueError(os.getpid())


@handler("dies")
async def dies(payload: object) -> None:
    os._exit(3)


@handler("says")
async def says(payload: object, ctx: JobContext) -> list[str]:
    await ctx.set_progress(30)
    refused = []
    calls: list[Callable[[], object]] = [
        lambda: ctx.run("step", lambda: 1),
        lambda: ctx.wait_for(seconds=1),
        ctx.create_token,
        ctx.prolong,
        lambda: ctx.on_timeout(lambda: None),
    ]
    for call in calls:
        try:
            call()
        except Unsupported as error:
            refused.append(str(error).split(":")[0])
    await ctx.set_output(refused)
    return []


@handler("writes")
async def writes(payload: dict[str, str], ctx: JobContext) -> None:
    """From itself, a child, a child that leaves the group, one that leaves the session, and an orphan."""
    _begin(payload["folder"])
    await ctx.set_progress(10)
    _write_everywhere(payload["folder"])
    while True:
        await asyncio.sleep(0.001)
        _write(payload["folder"])


@handler("writes_in_thread")
def writes_in_thread(payload: dict[str, str]) -> None:
    _begin(payload["folder"])
    _write_everywhere(payload["folder"])
    while True:
        _write(payload["folder"])


def _begin(folder: str) -> None:
    (Path(folder) / "began").write_text(str(time.monotonic()))


def _write_everywhere(folder: str) -> None:
    writer = [sys.executable, "-c", _WRITER]
    subprocess.Popen([*writer, f"{folder}/child.times"])
    subprocess.Popen([*writer, f"{folder}/group.times"], process_group=0)
    subprocess.Popen([*writer, f"{folder}/session.times"], start_new_session=True)
    script = f"setsid '{sys.executable}' -c '{_WRITER}' '{folder}/orphan.times' & :"
    subprocess.run(["sh", "-c", script], check=True)


def _write(folder: str) -> None:
    with (Path(folder) / "handler.times").open("a", buffering=1) as file:
        file.write(f"{time.monotonic()}\n")


@handler("leaves_a_child")
def leaves_a_child(payload: dict[str, str]) -> int:
    """One that left our session and lost its parent."""
    script = (
        f"setsid sleep 600 & echo $! > {payload['folder']}/pid && mv {payload['folder']}/pid {payload['folder']}/left"
    )
    subprocess.run(["sh", "-c", script], check=True)
    return os.getpid()


@handler("leaves_a_thread")
async def leaves_a_thread(payload: object) -> int:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return os.getpid()


@handler("leaves_a_task")
async def leaves_a_task(payload: object) -> int:
    asyncio.create_task(asyncio.sleep(600))  # noqa: RUF006 - it is what is left
    return os.getpid()


@handler("uses_threads")
async def uses_threads(payload: object) -> int:
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.01) for _ in range(3)))
    await (await asyncio.create_subprocess_exec("true")).wait()
    return os.getpid()
