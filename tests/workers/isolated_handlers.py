"""Handlers that misbehave, for a process of their own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from dataqueue import JobContext, Reject, handler, on_shutdown, on_startup

_hooks: list[str] = []


@on_startup
def _started() -> None:
    _hooks.append("started")


@on_shutdown
def _stopped() -> None:
    sys.stderr.write("stopped after the handler\n")


@handler("echo")
async def echo(payload: dict[str, object], ctx: JobContext) -> dict[str, object]:
    return {"payload": payload, "attempt": ctx.attempt, "hooks": _hooks}


@handler("echo_sync")
def echo_sync(payload: object) -> object:
    return payload


@handler("noise")
def noise(payload: object) -> str:
    sys.stdout.write("[]\n" * 10_000)
    os.write(1, b"started\n")
    sys.stdin.read()
    return "heard"


@handler("exits")
async def exits(payload: dict[str, int]) -> None:
    os._exit(payload["code"])


@handler("killed")
async def killed(payload: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@handler("segfaults")
def segfaults(payload: object) -> None:
    ctypes.string_at(0)


@handler("rejects")
async def rejects(payload: object) -> None:
    raise Reject("it will never do")


@handler("unwritable")
async def unwritable(payload: object) -> object:
    return object()


@handler("large")
async def large(payload: object) -> str:
    return "x" * 1_000_000


@handler("hangs")
def hangs(payload: dict[str, str]) -> None:
    """With a child, a grandchild, and no ear for signals."""
    leave_pid(payload["folder"], os.getpid())
    child = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    leave_pid(payload["folder"], child.pid)
    leave_pid(payload["folder"], int(child.stdout.readline()))
    time.sleep(600)


@handler("hangs_in_c")
def hangs_in_c(payload: dict[str, str]) -> None:
    leave_pid(payload["folder"], os.getpid())
    # PyDLL keeps the interpreter's lock: no thread of Python's runs any more.
    ctypes.PyDLL(None).sleep(600)


@handler("leaves_a_child")
def leaves_a_child(payload: dict[str, str]) -> None:
    leave_pid(payload["folder"], subprocess.Popen(["sleep", "600"]).pid)


@handler("forks")
def forks(payload: dict[str, str]) -> None:
    """The copy holds every pipe open."""
    if pid := os.fork():
        leave_pid(payload["folder"], pid)
        os._exit(1)
    time.sleep(600)


@handler("leaves_a_task")
async def leaves_a_task(payload: object) -> str:
    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                continue

    _tasks.append(asyncio.create_task(deaf()))
    await asyncio.sleep(0)
    return "done"


_tasks: list[asyncio.Task[None]] = []


def leave_pid(folder: str, pid: int) -> None:
    (Path(folder) / f"{pid}.pid").touch()
