"""A child for the supervisor's tests: `stub_child.py FOLDER BEHAVIOUR --tether FD`. It leaves its pid in the folder."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from workers.shutdown import Shutdown, leave_by_exception
from workers.tether import Tether

folder, behaviour, descriptor = Path(sys.argv[1]), sys.argv[2], int(sys.argv[-1])
(folder / f"{os.getpid()}.pid").touch()
life = len(list(folder.glob("*.pid")))


def say(word: str) -> None:
    (folder / f"{os.getpid()}.{word}").touch()


async def main() -> int:
    shutdown.attach()
    shutdown.on_signals(second_hurries=False)
    if behaviour == "cannot-start":
        sys.stderr.write("stub: the reason\n")
        return 2
    if behaviour == "dies-early":
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "cannot-start-again" and life > 1:
        return 2
    tether.ready({"life": life})
    if behaviour in {"dies-once", "cannot-start-again"} and life == 1:
        os._exit(7)
    if behaviour == "with-offspring":
        offspring = await asyncio.create_subprocess_exec("sleep", "600")
        (folder / f"{offspring.pid}.offspring").touch()
        os._exit(9)
    if behaviour in {"deaf", "deaf-orphan"}:
        say("deaf")
        while True:
            time.sleep(60)  # noqa: ASYNC251 - it is to block its loop
    await shutdown.drain.wait()
    say("drain")
    if behaviour == "slow":
        await shutdown.hurry.wait()
        say("hurry")
    return 0


leave_by_exception()
shutdown = Shutdown(interrupting=True)
tether = Tether(descriptor, shutdown, last_resort=0.2 if behaviour == "deaf-orphan" else 30)
if behaviour == "slow-to-start":
    say("starting")
    time.sleep(600)
sys.exit(asyncio.run(main()))
