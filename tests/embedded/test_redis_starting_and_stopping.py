import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from dataqueue.storage.embedded import EmbeddedError, open_embedded_redis
from dataqueue.storage.embedded import redis_configuration as configuration_module
from dataqueue.storage.embedded import redis_server as server_module
from dataqueue.storage.embedded.redis_asking import Answer
from dataqueue.storage.embedded.redis_asking import ask as ping
from dataqueue.storage.embedded.server_log import LONGEST_LOG
from tests.embedded.redis_support import ask, pid_of, servers_in
from tests.embedded.support import kill_all, processes_in

MANY = 2000


def test_a_server_that_was_killed_has_what_was_written(empty_home: Path) -> None:
    with open_embedded_redis(empty_home) as server:
        ask(server, "SET", "kept", "7")
        kill_all(empty_home)
        with open_embedded_redis(empty_home) as again:
            assert ask(again, "GET", "kept") == "7"
            assert again.url == server.url


def test_closing_after_the_server_died_is_immediate(empty_home: Path) -> None:
    server = open_embedded_redis(empty_home)
    kill_all(empty_home)
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 5
    assert not server.socket.exists()


def test_closing_disconnects_whoever_is_still_there(empty_home: Path) -> None:
    server = open_embedded_redis(empty_home)
    with Redis.from_url(server.url) as client:
        assert client.ping() is True
        server.close()
        with pytest.raises(NoConnection):
            client.ping()
    assert not processes_in(empty_home)


def test_a_server_that_does_not_listen_is_ended_all_the_same(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "STOPPING", ((signal.SIGTERM, 0.1), (signal.SIGKILL, 5.0)))
    server = open_embedded_redis(empty_home)
    psutil.Process(pid_of(empty_home)).suspend()
    server.close()
    assert not processes_in(empty_home)


def test_a_server_that_is_still_loading_is_waited_for(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It would give up at once on a server that says nothing; this one says that it is loading.
    monkeypatch.setattr(server_module, "SILENCE", 0.5)
    with open_embedded_redis(empty_home) as server:
        ask(server, "EVAL", f"for n = 1, {MANY} do redis.call('SET', n, n) end", "0")
    said: list[Answer] = []

    def watched(path: Path) -> Answer:
        said.append(ping(path))
        return said[-1]

    monkeypatch.setattr(server_module, "ask", watched)
    slowly = "key-load-delay 1000\nloading-process-events-interval-bytes 1024\n"
    monkeypatch.setattr(configuration_module, "BASE", configuration_module.BASE + slowly)
    began = time.monotonic()
    with open_embedded_redis(empty_home) as server:
        assert time.monotonic() - began > 0.5, "its patience with silence has passed"
        assert Answer.BUSY in said
        assert ask(server, "DBSIZE") == MANY


def test_a_stale_number_of_a_dead_server_harms_nobody(empty_home: Path) -> None:
    """Its number may have gone to a stranger, who is neither believed nor ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        server = open_embedded_redis(empty_home)
        ask(server, "SET", "kept", "7")
        kill_all(empty_home)
        (empty_home / "redis" / "data" / "server.pid").write_text(f"{stranger.pid}\n")
        with open_embedded_redis(empty_home) as again:
            assert ask(again, "GET", "kept") == "7"
            assert pid_of(empty_home) != stranger.pid
            (empty_home / "redis" / "data" / "server.pid").write_text(f"{stranger.pid}\n")
            os.kill(servers_in(empty_home)[0], signal.SIGTERM)
        assert stranger.poll() is None
        stranger.kill()
        server.close()


@pytest.mark.parametrize("content", ["", "nonsense\n", "-1\n", "1\n"])
def test_a_number_that_says_nothing_does_not_stop_the_next_start(empty_home: Path, content: str) -> None:
    open_embedded_redis(empty_home).close()
    (empty_home / "redis" / "data" / "server.pid").write_text(content)
    with open_embedded_redis(empty_home) as server:
        assert ask(server, "PING") is True


def test_a_server_that_cannot_read_its_data_says_why_and_leaves_nothing_running(empty_home: Path) -> None:
    with open_embedded_redis(empty_home) as server:
        ask(server, "SET", "kept", "7")
    [base] = (empty_home / "redis" / "data").glob("**/*.base.rdb")
    base.write_bytes(b"REDIS9999" + base.read_bytes()[9:])
    with pytest.raises(EmbeddedError, match=r"(?s)did not start.*DATAQUEUE_REDIS_BIN.*append only file"):
        open_embedded_redis(empty_home)
    assert not processes_in(empty_home)


def test_settings_that_the_program_does_not_know_are_named(
    empty_home: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataqueue.storage.embedded.redis_configuration.BASE", "no-such-setting yes\n")
    with pytest.raises(EmbeddedError, match="no-such-setting"):
        open_embedded_redis(empty_home)
    assert not processes_in(empty_home)


def test_a_home_that_cannot_be_used_is_named_with_the_fix(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(EmbeddedError, match=r"file.*set DATAQUEUE_HOME"):
        open_embedded_redis(place / "file")


def test_a_log_that_has_grown_long_is_set_aside(empty_home: Path) -> None:
    open_embedded_redis(empty_home).close()
    log = empty_home / "redis" / "data" / "server.log"
    log.write_bytes(b"x" * (LONGEST_LOG + 1))
    with open_embedded_redis(empty_home):
        assert log.stat().st_size < 10_000
        assert log.with_suffix(".log.old").stat().st_size == LONGEST_LOG + 1


def test_a_home_that_was_deleted_can_be_closed(empty_home: Path) -> None:
    server = open_embedded_redis(empty_home)
    kill_all(empty_home)
    shutil.rmtree(empty_home)
    server.close()
    assert not empty_home.exists()
