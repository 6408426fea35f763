"""Processes that are measured: started in a session of their own, stopped by their number."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

# Ships no type information.
psutil: Any = import_module("psutil")

_PATIENCE: Final = 15.0


class Process:
    """One child and what it started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        """What it and its living descendants have used so far."""
        return cpu_seconds(self.pid)

    async def connectable(self, port: int) -> None:
        """Wait until it takes connections."""
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            self.insist_alive()
            await asyncio.sleep(0.02)

    async def output(self) -> bytes:
        """Wait for its end; what it wrote to its standard output. RuntimeError when it failed."""
        assert self._process.stdout is not None
        written = await asyncio.to_thread(self._process.stdout.read)
        if await asyncio.to_thread(self._process.wait):
            raise RuntimeError(f"a process failed:\n{self._log.read_text(errors='replace')[-3000:]}")
        return written

    def insist_alive(self) -> None:
        """RuntimeError, with the end of its log, when it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"a process ended early:\n{self._log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for its session; returns when it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Fleet:
    """Every process of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[Process] = []

    def start(
        self,
        module: str,
        *arguments: str,
        env: Mapping[str, str],
        listens: bool = False,
        python: Path | None = None,
    ) -> Process:
        """`python -m module`. Its standard error goes into a file; `listens`: so does its standard output."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("DATAQUEUE_", "PGQUEUER"))
        }
        log = self._folder / f"{len(self._processes)}-{module}.log"
        with log.open("wb") as errors:
            out: int | IO[bytes] = errors if listens else subprocess.PIPE
            process = Process(
                subprocess.Popen(
                    [python or sys.executable, "-m", module, *arguments],
                    env={**inherited, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=errors,
                    # A Ctrl-C in the terminal is for the one who stops the others.
                    start_new_session=True,
                ),
                log,
            )
        self._processes.append(process)
        return process

    def stop(self) -> None:
        """Stop what still runs, the youngest first."""
        for process in reversed(self._processes):
            process.stop()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, also of those that have ended and were waited for."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def resident_bytes(pid: int) -> int:
    """Memory of a process and its descendants."""
    root = psutil.Process(pid)
    total = 0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


class MachineCpu(NamedTuple):
    """Seconds of all cores together, since the machine was started."""

    busy: float
    all: float


def machine_cpu_seconds() -> MachineCpu:
    times = psutil.cpu_times()
    # A guest's time is in the user's already.
    everything = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return MachineCpu(everything - times.idle - getattr(times, "iowait", 0.0), everything)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)
