import os
from pathlib import Path

import psutil
import pytest
from redis import Redis

from dataqueue.storage.embedded import open_embedded_redis
from tests.embedded.redis_support import ask, pid_of

TOO_LONG = "/".join(["a" * 40] * 3)
HARD_TO_QUOTE = 'it\'s a "home", näm[l]y: 100%&more=\\'


@pytest.mark.parametrize("name", ["short", TOO_LONG, HARD_TO_QUOTE])
def test_the_url_works_whatever_the_home_is_called(place: Path, name: str) -> None:
    with open_embedded_redis(place / name) as server:
        assert len(os.fsencode(server.socket)) <= 107
        assert server.url == f"unix://{server.socket}?db=0"
        with Redis.from_url(server.url) as client:
            assert client.ping() is True
        assert pid_of(place / name)
    assert not server.socket.exists()


def test_leftovers_of_a_stopped_server_are_only_in_its_home(place: Path) -> None:
    with open_embedded_redis(place / TOO_LONG) as server:
        assert server.socket.parents[1] == Path("/tmp")
    assert not server.socket.parent.exists()


def test_a_short_folder_for_the_socket_is_taken_from_the_runtime_folder(place: Path) -> None:
    runtime_dir = place / "run"
    runtime_dir.mkdir(mode=0o755)
    with open_embedded_redis(place / TOO_LONG, runtime_dir=runtime_dir) as server:
        assert server.socket.parents[1] == runtime_dir
        # Somebody who does not know of the runtime folder finds the same server.
        with open_embedded_redis(place / TOO_LONG) as same:
            assert same.url == server.url
    assert not list(runtime_dir.iterdir())


@pytest.mark.parametrize("name", ["short", TOO_LONG])
def test_only_the_servers_account_may_open_the_folder_of_the_socket(place: Path, name: str) -> None:
    with open_embedded_redis(place / name) as server:
        found = server.socket.parent.stat()
        assert found.st_mode & 0o777 == 0o700
        assert server.socket.stat().st_mode & 0o077 == 0
        assert found.st_uid == psutil.Process(pid_of(place / name)).uids().effective


def test_nobody_else_may_read_the_data(place: Path) -> None:
    with open_embedded_redis(place / "home") as server:
        ask(server, "SET", "kept", "7")
        assert (place / "home" / "redis" / "data").stat().st_mode & 0o777 == 0o700


def test_the_server_listens_on_no_network(place: Path) -> None:
    with open_embedded_redis(place / "home"):
        server = psutil.Process(pid_of(place / "home"))
        assert not server.net_connections("inet")
        assert server.net_connections("unix")


def test_what_is_acknowledged_is_logged_and_nothing_is_evicted(place: Path) -> None:
    with open_embedded_redis(place / "home") as server:
        settings = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
        for name, value in settings.items():
            assert ask(server, "CONFIG", "GET", name) == {name: value}
