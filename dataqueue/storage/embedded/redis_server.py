"""One Redis server: is it alive, start it, wait for it, stop it. Every method needs the gate."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account
from dataqueue.storage.embedded.ending import POLL, has_ended
from dataqueue.storage.embedded.errors import EmbeddedError
from dataqueue.storage.embedded.locks import ServerLock
from dataqueue.storage.embedded.processes import works_in
from dataqueue.storage.embedded.redis_asking import Answer, ask
from dataqueue.storage.embedded.redis_configuration import (
    FILE,
    PID_FILE,
    SOCKET,
    configured_socket,
    write_configuration,
)
from dataqueue.storage.embedded.server_log import LOG, log_end, shorten_log
from dataqueue.storage.embedded.sockets import remove_if_elsewhere, socket_folder

# How long a living server may say nothing. One that answers that it is loading is waited for without end.
SILENCE: Final = 60.0

# It writes down what it has, then the kernel's way: each as long as it can reasonably need.
STOPPING: Final = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """The server of one home."""

    home: Path
    data: Path
    account: Account
    program: Path
    lock: ServerLock
    runtime_dir: Path | None

    def ensure(self) -> Path:
        """Find the server running or start it; returns its socket once it answers."""
        if self.lock.is_held():
            socket = self._when_ready()
            if socket is not None:
                return socket
            # It was on its way out: now it is gone.
        self._start()
        socket = self._when_ready()
        if socket is None:
            raise EmbeddedError(
                f"Redis ({self.program}) did not start in {self.data}. If another version wrote the data, set "
                f"DATAQUEUE_REDIS_BIN to its folder. The log ends:\n{log_end(self.data)}"
            )
        return socket

    def stop(self) -> None:
        """Stop the server if it lives, and return when no process of it is left."""
        if not has_ended(STOPPING, is_alive=self.lock.is_held, process_number=self._process_number):
            raise EmbeddedError(f"Redis in {self.data} does not stop: end its processes, then start again.")
        socket = configured_socket(self.data)
        if socket is not None:
            # Left by a server that was killed.
            socket.unlink(missing_ok=True)
            remove_if_elsewhere(socket.parent, self.home)

    def _start(self) -> None:
        if not self.data.exists():
            self.account.make_private(self.data)
        # Believed while the lock is held, so it must be the next server's own.
        (self.data / PID_FILE).unlink(missing_ok=True)
        folder = socket_folder(self.home, self.account, name=SOCKET, runtime_dir=self.runtime_dir)
        (folder / SOCKET).unlink(missing_ok=True)
        write_configuration(self.data, self.account, socket=folder / SOCKET, log=LOG)
        shorten_log(self.data)
        with self.lock.handed_over() as descriptor, (self.data / FILE).open() as settings:
            # Not by the file's name: in a path with a bracket in it Redis looks for a pattern, and then starts without.
            # It returns when the server has read its settings and goes on by itself.
            answer = self.account.run([self.program, "-"], cwd=self.data, keep=[descriptor], reading=settings)
        if answer.returncode:
            raise EmbeddedError(f"{self.program} did not start in {self.data}. It said:\n{answer.stdout.strip()}")

    def _when_ready(self) -> Path | None:
        """Wait for the living server to answer; None if it ended instead."""
        deadline = time.monotonic() + SILENCE
        while self.lock.is_held():
            socket = configured_socket(self.data)
            answer = ask(socket) if socket is not None else Answer.SILENCE
            if answer is Answer.READY:
                return socket
            if answer is Answer.BUSY:
                deadline = time.monotonic() + SILENCE
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Redis in {self.data} lives but has not answered for {SILENCE:.0f} s: end its processes, then "
                    f"start again. Its log ends:\n{log_end(self.data)}"
                )
            time.sleep(POLL)
        return None

    def _process_number(self) -> int | None:
        """The living server's, once it has written it down."""
        try:
            text = (self.data / PID_FILE).read_text().strip()
        except FileNotFoundError:
            return None
        pid = int(text) if text.isdecimal() else 0
        return pid if works_in(pid, self.data) else None
