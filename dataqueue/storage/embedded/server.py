"""One PostgreSQL server: is it alive, start it, wait for it, stop it. Every method needs the gate."""

import os
import signal
import time
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account
from dataqueue.storage.embedded.binaries import Binaries
from dataqueue.storage.embedded.cluster import SUPERUSER, data_path, ensure_cluster
from dataqueue.storage.embedded.configuration import PORT, is_volatile, write_configuration
from dataqueue.storage.embedded.ending import POLL, has_ended
from dataqueue.storage.embedded.errors import EmbeddedError
from dataqueue.storage.embedded.locks import ServerLock
from dataqueue.storage.embedded.pidfile import POSTMASTER_PID, SOCKET, disown, living_postmaster
from dataqueue.storage.embedded.server_log import LOG, log_end, shorten_log
from dataqueue.storage.embedded.sockets import remove_if_elsewhere, socket_folder

# How long a living server may say nothing. One that answers that it is recovering is waited for without end.
SILENCE: Final = 60.0

# Fast shutdown, then without a checkpoint, then the kernel's way: each as long as it can reasonably need.
STOPPING: Final = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


class Answer(IntEnum):
    """What pg_isready says, by its exit status."""

    READY = 0
    REJECTING = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server of one home."""

    home: Path
    data: Path
    account: Account
    binaries: Binaries
    lock: ServerLock
    runtime_dir: Path | None

    def ensure(self, *, fsync: bool) -> Path:
        """Find the server running or start it; returns the folder of its socket once it takes connections."""
        if self.is_alive():
            folder = self._when_ready()
            if folder is not None:
                self._refuse_volatile(fsync)
                return folder
            # It was on its way out, or a killed start's last program was: now it is gone.
        self._start(fsync=fsync)
        folder = self._when_ready()
        if folder is None:
            raise EmbeddedError(f"PostgreSQL did not start in {self.data}. Its log ends:\n{log_end(self.data)}")
        return folder

    def is_alive(self) -> bool:
        """Whether any process serves or prepares the data folder, ready or not."""
        # The second question: servers started by hand, and file systems whose locks are not inherited.
        return self.lock.is_held() or living_postmaster(self.data) is not None

    def stop(self) -> None:
        """Stop the server if it lives, and return when no process of it is left."""
        server = living_postmaster(self.data)
        if not has_ended(STOPPING, is_alive=self.is_alive, process_number=self._process_number):
            raise EmbeddedError(f"PostgreSQL in {self.data} does not stop: end its processes, then start again.")
        if server is not None and server.socket_folder is not None:
            remove_if_elsewhere(server.socket_folder, self.home)

    def _process_number(self) -> int | None:
        server = living_postmaster(self.data)
        return server.pid if server else None

    def _start(self, *, fsync: bool) -> None:
        ensure_cluster(self.home, self.data, account=self.account, binaries=self.binaries, lock=self.lock, fsync=fsync)
        folder = socket_folder(self.home, self.account, name=SOCKET, runtime_dir=self.runtime_dir)
        disown(self.data / POSTMASTER_PID)
        disown(folder / f"{SOCKET}.lock")
        if fsync and self._was_volatile():
            # Pages of a run without fsync may still be in the kernel's memory alone.
            os.sync()
        write_configuration(self.data, self.account, socket_folder=folder, fsync=fsync)
        shorten_log(self.data)
        with self.lock.handed_over() as descriptor:
            answer = self.account.run(
                [
                    *(self.binaries.tool("pg_ctl"), "start", "--no-wait", "--silent"),
                    # Relative: it is opened from inside the data folder, as the account.
                    *("-D", data_path(self.data, self.account), "-l", LOG),
                ],
                cwd=self.data,
                keep=[descriptor],
            )
        if answer.returncode:
            raise EmbeddedError(f"PostgreSQL did not start in {self.data}. pg_ctl said:\n{answer.stdout.strip()}")

    def _when_ready(self) -> Path | None:
        """Wait for the living server to take connections; None if it ended instead."""
        deadline = time.monotonic() + SILENCE
        while self.is_alive():
            server = living_postmaster(self.data)
            if server is not None and server.socket_folder is not None:
                answer = self._ask(server.socket_folder)
                if answer == Answer.READY:
                    return server.socket_folder
                if answer == Answer.REJECTING:
                    deadline = time.monotonic() + SILENCE
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL in {self.data} lives but has not answered for {SILENCE:.0f} s: end its "
                    f"processes, then start again. Its log ends:\n{log_end(self.data)}"
                )
            time.sleep(POLL)
        return None

    def _ask(self, folder: Path) -> int:
        where = ("-h", folder, "-p", str(PORT), "-d", "postgres", "-U", SUPERUSER)
        return self.account.run([self.binaries.tool("pg_isready"), "-q", "-t", "2", *where]).returncode

    def _refuse_volatile(self, fsync: bool) -> None:
        if fsync and self._was_volatile():
            raise EmbeddedError(
                f"The server in {self.home} runs without fsync, for tests: stop its users first, or set "
                "DATAQUEUE_HOME to another folder."
            )

    def _was_volatile(self) -> bool:
        try:
            return is_volatile(self.data)
        except FileNotFoundError:
            return False
