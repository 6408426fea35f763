import os
import signal
from pathlib import Path

from dataqueue.storage.embedded import open_embedded
from tests.embedded.support import (
    DATA,
    ask,
    is_up,
    owners,
    postmaster_pid,
    postmasters_in,
    processes_in,
    wait_until,
)


def test_processes_that_start_at_once_on_an_empty_folder_share_one_server(empty_home: Path) -> None:
    with owners(empty_home, 3) as all_three:
        folders = {owner.socket_folder() for owner in all_three}
        assert len(folders) == 1
        assert postmasters_in(empty_home) == [postmaster_pid(empty_home)]
        assert ask(folders.pop(), "select 1") == 1
        assert sorted(path.name for path in empty_home.glob("*/")) == [DATA, "socket"]


def test_the_last_one_out_stops_the_server(home: Path) -> None:
    with owners(home, 2) as (first, second):
        folder = first.socket_folder()
        assert second.socket_folder() == folder
        pid = postmaster_pid(home)
        first.leave()
        assert ask(folder, "select 1") == 1
        assert postmaster_pid(home) == pid
        second.leave()
        assert not processes_in(home)
        assert not (home / DATA / "postmaster.pid").exists()


def test_one_process_may_open_a_home_twice(home: Path) -> None:
    first, second = open_embedded(home, fsync=False), open_embedded(home, fsync=False)
    assert first.url == second.url
    first.close()
    assert ask(second, "select 1") == 1
    second.close()
    assert not processes_in(home)


def test_closing_again_does_nothing_to_the_next_user(home: Path) -> None:
    first = open_embedded(home, fsync=False)
    first.close()
    with open_embedded(home, fsync=False) as second:
        first.close()
        assert ask(second, "select 1") == 1


def test_what_was_written_is_there_at_the_next_start(home: Path) -> None:
    with open_embedded(home, fsync=False) as server:
        ask(server, "create table kept as select 7 as number")
    with open_embedded(home, fsync=False) as server:
        assert ask(server, "select number from kept") == 7


def test_after_a_kill_of_all_owners_the_next_start_takes_over_and_stops_the_server(home: Path) -> None:
    with owners(home, 2) as (first, second):
        folder = first.socket_folder()
        second.socket_folder()
        pid = postmaster_pid(home)
        first.kill()
        second.kill()
        assert ask(folder, "select 1") == 1
        with open_embedded(home, fsync=False) as server:
            assert postmaster_pid(home) == pid
            assert ask(server, "select 1") == 1
        assert not is_up(pid)
        assert not processes_in(home)


def test_a_killed_owner_does_not_keep_the_server_alive(home: Path) -> None:
    with owners(home, 1) as (killed,):
        killed.socket_folder()
        with open_embedded(home, fsync=False) as server:
            killed.kill()
            assert ask(server, "select 1") == 1
    assert not processes_in(home)


def test_an_owner_that_ends_without_closing_stops_the_server(home: Path) -> None:
    with owners(home, 1) as (owner,):
        owner.socket_folder()
        owner.leave(closing=False)
    assert not processes_in(home)


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(home: Path) -> None:
    with owners(home, 1) as (owner,):
        folder = owner.socket_folder()
        pid = postmaster_pid(home)
        assert os.getsid(pid) != os.getsid(owner.process.pid)
        os.killpg(owner.process.pid, signal.SIGINT)
        assert owner.line() == "interrupted"
        assert ask(folder, "select 1") == 1
        assert postmaster_pid(home) == pid


def test_an_owner_killed_while_the_server_starts_leaves_no_second_server(home: Path) -> None:
    with owners(home, 1) as (killed,):
        wait_until("the server's process exists", lambda: postmasters_in(home))
        killed.kill()
        with open_embedded(home, fsync=False) as server:
            assert postmasters_in(home) == [postmaster_pid(home)]
            assert ask(server, "select 1") == 1
    assert not processes_in(home)
