import asyncio
import shutil
import signal
import threading
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from dataqueue.storage.embedded import EmbeddedPostgres, open_embedded
from dataqueue.storage.embedded import server as server_module
from dataqueue.storage.embedded.account import account_for
from dataqueue.storage.embedded.binaries import find_binaries
from dataqueue.storage.embedded.server_log import LONGEST_LOG
from tests.embedded.support import DATA, ask, kill_server, postmaster_pid, processes_in, wait_until


def test_closing_after_the_server_died_is_immediate(home: Path) -> None:
    server = open_embedded(home, fsync=False)
    kill_server(home)
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 5


def test_a_server_that_died_is_started_again_by_the_next_to_open(home: Path) -> None:
    with open_embedded(home) as server:
        ask(server, "create table kept as select 7 as number")
        kill_server(home)
        with open_embedded(home) as again:
            assert ask(again, "select number from kept") == 7
            assert again.url == server.url


def test_closing_disconnects_whoever_is_still_there(home: Path) -> None:
    server = open_embedded(home, fsync=False)

    async def stay_in_a_transaction() -> None:
        connection = await asyncpg.connect(host=str(server.socket_folder), user="queue", database="postgres")
        await connection.execute("begin")
        await asyncio.to_thread(server.close)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("select 1")
        connection.terminate()

    asyncio.run(stay_in_a_transaction())
    assert not processes_in(home)


def test_a_server_that_does_not_listen_is_ended_all_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = [(sign, 5.0 if sign == signal.SIGKILL else 0.1) for sign, _ in server_module.STOPPING]
    monkeypatch.setattr(server_module, "STOPPING", patience)
    server = open_embedded(home, fsync=False)
    psutil.Process(postmaster_pid(home)).suspend()
    server.close()
    assert not processes_in(home)


class Passed:
    """True once that much time has passed."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def __call__(self) -> bool:
        return time.monotonic() > self._at


def test_a_server_that_is_still_recovering_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It would give up at once on a server that says nothing; this one says that it is not ready yet.
    monkeypatch.setattr(server_module, "SILENCE", 3.0)
    data, account = home / DATA, account_for(home / DATA)
    binaries = find_binaries(account)
    # A standby that serves nobody recovers until it is promoted.
    (data / "standby.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("hot_standby = off\n")
    opened: list[EmbeddedPostgres] = []
    opener = threading.Thread(target=lambda: opened.append(open_embedded(home, fsync=False)))
    opener.start()
    try:
        answers: list[str | Path] = [binaries.tool("pg_isready"), "-q", "-h", home / "socket"]
        wait_until("the server says that it recovers", lambda: account.run(answers).returncode == 1)
        wait_until("its patience with silence has passed", Passed(3.5))
        assert not opened
        account.run([binaries.tool("pg_ctl"), "promote", "--no-wait", "-D", data])
        opener.join(20)
        assert ask(opened[0], "select 1") == 1
    finally:
        if not opened:
            kill_server(home)
            opener.join(20)
        else:
            opened[0].close()


def test_a_log_that_has_grown_long_is_set_aside(home: Path) -> None:
    log = home / DATA / "server.log"
    log.write_bytes(b"x" * (LONGEST_LOG + 1))
    with open_embedded(home, fsync=False):
        assert log.stat().st_size < 10_000
        assert log.with_suffix(".log.old").stat().st_size == LONGEST_LOG + 1


def test_the_log_never_shows_a_refused_statement(home: Path) -> None:
    with open_embedded(home, fsync=False) as server:
        for sql in ("select 'planted-secret'::int", "select 1 / 0 as planted_secret"):
            with pytest.raises(asyncpg.PostgresError):
                ask(server, sql)
    assert "planted" not in (home / DATA / "server.log").read_text()


def test_leftovers_of_a_stopped_server_are_only_in_its_home(home: Path, place: Path) -> None:
    deep = place / ("deep" * 30)
    home.rename(deep)
    with open_embedded(deep, fsync=False) as server:
        assert server.socket_folder.parent == Path("/tmp")
    assert not server.socket_folder.exists()


def test_a_home_that_was_deleted_can_be_closed(home: Path) -> None:
    server = open_embedded(home, fsync=False)
    kill_server(home)
    shutil.rmtree(home)
    server.close()
    assert not home.exists()
