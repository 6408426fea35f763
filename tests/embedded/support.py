"""Conditions with a deadline, owners that can be killed, and a look at the processes of a server."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from dataqueue.storage.embedded import EmbeddedPostgres
from dataqueue.storage.embedded.account import account_for
from dataqueue.storage.embedded.binaries import TOOLS, find_binaries

POLL: Final = 0.01
pause: Final = time.sleep  # the real one, also where a test counts the code's

MAJOR: Final = find_binaries(account_for(Path("/nowhere"))).major
DATA: Final = f"pg{MAJOR}"


def wait_until(description: str, condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {description}"
        pause(POLL)


def ask(server: EmbeddedPostgres | Path, sql: str) -> Any:
    """The first value of the first row that the server answers."""
    folder = server if isinstance(server, Path) else server.socket_folder

    async def fetch() -> Any:
        connection = await asyncpg.connect(host=str(folder), user="queue", database="postgres", timeout=10)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def postmaster_pid(home: Path) -> int:
    return int((home / DATA / "postmaster.pid").read_text().split("\n")[0])


def processes_in(home: Path) -> list[psutil.Process]:
    """Every living process that works inside the home: a server, its backends, the tools that prepare it."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(home) and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            continue
        if inside:
            found.append(process)
    return found


def postmasters_in(home: Path) -> list[int]:
    """The servers of a home: its postgres processes that are no children of another."""
    parents = {}
    for process in processes_in(home):
        with suppress(psutil.NoSuchProcess):
            if process.name() == "postgres":
                parents[process.pid] = process.ppid()
    return [pid for pid, parent in parents.items() if parent not in parents]


def is_up(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def kill_server(home: Path) -> None:
    """The server dies at once, as in a power cut, and leaves its lock files behind."""
    os.kill(postmaster_pid(home), signal.SIGKILL)
    wait_until("no process of the server is left", lambda: not processes_in(home))


def kill_all(home: Path) -> None:
    """Every process of the home dies at once."""
    for process in processes_in(home):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until("no process is left", lambda: not processes_in(home))


def first_line_becomes(lock_file: Path, pid: int) -> None:
    _, _, rest = lock_file.read_text().partition("\n")
    lock_file.write_text(f"{pid}\n{rest}")


class Owner:
    """Another process that opens the home, says so, and holds it until it is told to leave or killed."""

    PROGRAM = """
        import signal, sys
        from pathlib import Path
        from dataqueue.storage.embedded import open_embedded, open_embedded_redis
        signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
        kind, home, pg_bin = sys.argv[1:]
        if kind == "redis":
            server = open_embedded_redis(Path(home))
            print(server.socket, flush=True)
        else:
            server = open_embedded(Path(home), fsync=False, pg_bin=Path(pg_bin) if pg_bin else None)
            print(server.socket_folder, flush=True)
        if sys.stdin.readline() == "close\\n":
            server.close()
    """

    def __init__(self, home: Path, *, kind: str, pg_bin: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(self.PROGRAM), kind, str(home), str(pg_bin or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )

    def socket_folder(self) -> Path:
        """Waits until the owner has the server open; of a Redis its socket itself."""
        line = self.line()
        assert line, "the owner could not open the server"
        return Path(line)

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self, *, closing: bool = True) -> None:
        assert self.process.stdin
        self.process.stdin.write("close\n" if closing else "just end\n")
        self.process.stdin.flush()
        assert self.process.wait(20) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()


@contextmanager
def owners(home: Path, count: int, *, kind: str = "postgres", pg_bin: Path | None = None) -> Iterator[list[Owner]]:
    """That many owners, started at once."""
    started = [Owner(home, kind=kind, pg_bin=pg_bin) for _ in range(count)]
    try:
        yield started
    finally:
        for owner in started:
            owner.kill()


def programs_with(folder: Path, **replaced: str) -> Path:
    """A folder of PostgreSQL's programs in which some are shell scripts of ours."""
    folder.mkdir(parents=True)
    real = find_binaries(account_for(Path("/nowhere"))).folder
    for tool in TOOLS:
        if tool in replaced:
            (folder / tool).write_text(f"#!/bin/sh\n{replaced[tool]}\n")
            (folder / tool).chmod(0o755)
        else:
            (folder / tool).symlink_to(real / tool)
    return folder
