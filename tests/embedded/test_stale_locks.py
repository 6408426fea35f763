import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dataqueue.storage.embedded import EmbeddedError, open_embedded
from dataqueue.storage.embedded.account import account_for
from dataqueue.storage.embedded.binaries import find_binaries
from dataqueue.storage.embedded.configuration import write_configuration
from dataqueue.storage.embedded.pidfile import SOCKET, disown, living_postmaster
from dataqueue.storage.embedded.processes import is_postmaster
from dataqueue.storage.embedded.sockets import socket_folder
from tests.embedded.support import (
    DATA,
    ask,
    first_line_becomes,
    is_up,
    kill_server,
    postmaster_pid,
    wait_until,
)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def the_dead(bystander: subprocess.Popen[bytes]) -> int:
    bystander.kill()
    bystander.wait()
    return bystander.pid


def a_zombie(bystander: subprocess.Popen[bytes]) -> int:
    bystander.kill()
    wait_until("it is a zombie", lambda: psutil.Process(bystander.pid).status() == psutil.STATUS_ZOMBIE)
    return bystander.pid


def somebody_else(bystander: subprocess.Popen[bytes]) -> int:
    return bystander.pid


def the_first_process(bystander: subprocess.Popen[bytes]) -> int:
    return 1


@pytest.mark.parametrize("holder", [the_dead, a_zombie, somebody_else, the_first_process])
def test_the_locks_of_a_dead_server_do_not_stop_the_next(
    home: Path, bystander: subprocess.Popen[bytes], holder: Callable[[subprocess.Popen[bytes]], int]
) -> None:
    server = open_embedded(home)
    ask(server, "create table kept as select 7 as number")
    kill_server(home)
    pid = holder(bystander)
    first_line_becomes(home / DATA / "postmaster.pid", pid)
    first_line_becomes(server.socket_folder / ".s.PGSQL.5432.lock", pid)
    with open_embedded(home) as next_server:
        assert ask(next_server, "select number from kept") == 7
        assert postmaster_pid(home) != pid
    if holder is somebody_else:
        assert bystander.poll() is None
    server.close()


def test_a_number_that_went_to_a_server_of_another_home_is_not_believed(home: Path, place: Path) -> None:
    other = place / "other"
    subprocess.run(["cp", "-a", home, other], check=True)
    with open_embedded(other, fsync=False) as neighbour:
        server = open_embedded(home, fsync=False)
        kill_server(home)
        first_line_becomes(home / DATA / "postmaster.pid", postmaster_pid(other))
        with open_embedded(home, fsync=False) as next_server:
            assert next_server.socket_folder == server.socket_folder
            assert ask(next_server, "select 1") == 1
        server.close()
        assert ask(neighbour, "select 1") == 1


@pytest.mark.parametrize("content", ["", "\n", "nonsense\n", "-1\n"])
def test_a_lock_file_that_says_nothing_does_not_stop_the_next_start(home: Path, content: str) -> None:
    lock_file = home / DATA / "postmaster.pid"
    lock_file.write_text(content)
    shutil.chown(lock_file, (home / DATA).stat().st_uid)
    with open_embedded(home, fsync=False) as server:
        assert ask(server, "select 1") == 1


def test_disowning_changes_the_first_line_and_nothing_else(tmp_path: Path) -> None:
    lock_file = tmp_path / "postmaster.pid"
    lock_file.write_text("4242\n/data\n1795489495\n5432\n/socket\n\n 16039944         4\nready   \n")
    lock_file.chmod(0o600)
    disown(lock_file)
    assert lock_file.read_text().split("\n") == [
        *(
            str(os.getpid()),
            "/data",
            "1795489495",
            "5432",
            "/socket",
            "",
            " 16039944         4",
            "ready   ",
            "",
        )
    ]
    assert lock_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["postmaster.pid"]


def test_disowning_makes_no_file(tmp_path: Path) -> None:
    disown(tmp_path / "postmaster.pid")
    assert not list(tmp_path.iterdir())


def started_by_hand(home: Path) -> int:
    """A server that holds none of our locks."""
    account = account_for(home / DATA)
    folder = socket_folder(home, account, name=SOCKET)
    write_configuration(home / DATA, account, socket_folder=folder, fsync=False)
    pg_ctl = find_binaries(account).tool("pg_ctl")
    answer = account.run([pg_ctl, "-D", home / DATA, "-l", "server.log", "-w", "start"], cwd=home / DATA)
    assert answer.returncode == 0, answer.stdout
    return postmaster_pid(home)


def test_the_shared_memory_check_still_guards_a_living_server(home: Path, bystander: subprocess.Popen[bytes]) -> None:
    pid = started_by_hand(home)
    first_line_becomes(home / DATA / "postmaster.pid", the_dead(bystander))
    with pytest.raises(EmbeddedError, match="shared memory"):
        open_embedded(home, fsync=False)
    assert is_up(pid)
    os.kill(pid, signal.SIGQUIT)


def test_a_server_started_by_hand_is_shared(home: Path) -> None:
    pid = started_by_hand(home)
    with open_embedded(home, fsync=False) as server:
        assert postmaster_pid(home) == pid
        assert ask(server, "select 1") == 1
    assert not is_up(pid)


def test_only_a_living_server_of_the_folder_is_its_postmaster(
    home: Path, place: Path, bystander: subprocess.Popen[bytes]
) -> None:
    with open_embedded(home, fsync=False) as server:
        pid = postmaster_pid(home)
        found = living_postmaster(home / DATA)
        assert found
        assert (found.pid, found.socket_folder) == (pid, server.socket_folder)
        assert not is_postmaster(pid, place)
    assert living_postmaster(home / DATA) is None
    for stranger in (pid, bystander.pid, os.getpid(), 0, -1):
        assert not is_postmaster(stranger, home / DATA)
