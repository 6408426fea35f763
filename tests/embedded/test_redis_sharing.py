import os
import signal
from pathlib import Path

from dataqueue.storage.embedded import open_embedded, open_embedded_redis
from tests.embedded import support
from tests.embedded.redis_support import ask, pid_of, servers_in
from tests.embedded.support import is_up, owners, processes_in


def test_processes_that_start_at_once_on_an_empty_folder_share_one_server(empty_home: Path) -> None:
    with owners(empty_home, 3, kind="redis") as all_three:
        sockets = {owner.socket_folder() for owner in all_three}
        assert len(sockets) == 1
        assert servers_in(empty_home) == [pid_of(empty_home)]
        assert ask(sockets.pop(), "PING") is True
        assert sorted(path.name for path in (empty_home / "redis").glob("*/")) == ["data", "socket"]


def test_the_last_one_out_stops_the_server(empty_home: Path) -> None:
    with owners(empty_home, 2, kind="redis") as (first, second):
        socket = first.socket_folder()
        assert second.socket_folder() == socket
        pid = pid_of(empty_home)
        first.leave()
        assert ask(socket, "PING") is True
        assert pid_of(empty_home) == pid
        second.leave()
        assert not processes_in(empty_home)
        assert not socket.exists()


def test_one_process_may_open_a_home_twice(empty_home: Path) -> None:
    first, second = open_embedded_redis(empty_home), open_embedded_redis(empty_home)
    assert first.url == second.url
    first.close()
    assert ask(second, "PING") is True
    second.close()
    assert not processes_in(empty_home)


def test_what_was_written_is_there_at_the_next_start(empty_home: Path) -> None:
    with open_embedded_redis(empty_home) as server:
        ask(server, "SET", "kept", "7")
    with open_embedded_redis(empty_home) as server:
        assert ask(server, "GET", "kept") == "7"


def test_after_a_kill_of_all_owners_the_next_start_takes_over_and_stops_the_server(empty_home: Path) -> None:
    with owners(empty_home, 2, kind="redis") as (first, second):
        socket = first.socket_folder()
        second.socket_folder()
        pid = pid_of(empty_home)
        first.kill()
        second.kill()
        assert ask(socket, "PING") is True
        with open_embedded_redis(empty_home) as server:
            assert pid_of(empty_home) == pid
            assert ask(server, "PING") is True
        assert not is_up(pid)
        assert not processes_in(empty_home)


def test_a_killed_owner_does_not_keep_the_server_alive(empty_home: Path) -> None:
    with owners(empty_home, 1, kind="redis") as (killed,):
        killed.socket_folder()
        with open_embedded_redis(empty_home) as server:
            killed.kill()
            assert ask(server, "PING") is True
    assert not processes_in(empty_home)


def test_an_owner_that_ends_without_closing_stops_the_server(empty_home: Path) -> None:
    with owners(empty_home, 1, kind="redis") as (owner,):
        owner.socket_folder()
        owner.leave(closing=False)
    assert not processes_in(empty_home)


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(empty_home: Path) -> None:
    with owners(empty_home, 1, kind="redis") as (owner,):
        socket = owner.socket_folder()
        pid = pid_of(empty_home)
        assert os.getsid(pid) != os.getsid(owner.process.pid)
        os.killpg(owner.process.pid, signal.SIGINT)
        assert owner.line() == "interrupted"
        assert ask(socket, "PING") is True
        assert pid_of(empty_home) == pid


def test_a_postgresql_of_the_same_home_is_another_server(home: Path) -> None:
    with open_embedded(home, fsync=False) as postgres:
        with open_embedded_redis(home) as redis:
            assert ask(redis, "PING") is True
            assert support.ask(postgres, "select 1") == 1
        assert support.ask(postgres, "select 1") == 1
    assert not processes_in(home)
