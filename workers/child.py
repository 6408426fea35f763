"""A process we started: spawned, never forked, in a session of its own, on a tether."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from workers.shutdown import kill_session
from workers.tether import OPTION, Word


class Child:
    """One child. Its session is its own, so that Ctrl-C in a terminal reaches its parent alone."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self._process, self._line = process, line
        self.about: dict[str, Any] | None = None
        self.ready = asyncio.Event()
        self._hearing = asyncio.create_task(self._hear())

    @classmethod
    async def start(cls, command: Sequence[str], *, env: Mapping[str, str]) -> Self:
        """Spawn it; OSError when the system will not."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                OPTION,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env=env,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, word: Word) -> None:
        # A child that is gone, or too stuck to listen, is found by the wait that follows.
        with suppress(OSError):
            self._line.send(word.value)

    def kill(self) -> None:
        """End it and what it started, at once."""
        kill_session(self._process.pid)

    async def wait(self) -> int:
        """Its exit code; negative: the signal that ended it. What it left running in its session is ended too."""
        try:
            return await self._process.wait()
        finally:
            if self._process.returncode is not None:
                self.kill()
            # It may have said that it is ready with its last breath.
            await asyncio.wait({self._hearing}, timeout=1)
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
            self._line.close()

    async def _hear(self) -> None:
        loop, heard = asyncio.get_running_loop(), b""
        while not heard.endswith(b"\n"):
            more = await loop.sock_recv(self._line, 4096)
            if not more:
                return
            heard += more
        self.about = json.loads(heard)
        self.ready.set()


def exit_of(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
