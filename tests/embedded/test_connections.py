import asyncio
import os
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from dataqueue.storage.embedded import EmbeddedError, EmbeddedPostgres, open_embedded
from dataqueue.storage.embedded.account import account_for
from dataqueue.storage.embedded.pidfile import SOCKET
from dataqueue.storage.embedded.sockets import socket_folder
from tests.embedded.support import DATA, ask, postmaster_pid

TOO_LONG = "/".join(["a" * 40] * 3)
HARD_TO_QUOTE = 'it\'s a "home", näm[l]y: 100%&more=\\'


async def through_sqlalchemy(url: str, sql: str) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text(sql))).scalar_one()
    finally:
        await engine.dispose()


@pytest.mark.parametrize("name", ["short", TOO_LONG, HARD_TO_QUOTE])
def test_the_url_works_whatever_the_home_is_called(home: Path, place: Path, name: str) -> None:
    named = place / name
    named.parent.mkdir(parents=True, exist_ok=True)
    home.rename(named)
    with open_embedded(named, fsync=False) as server:
        assert len(os.fsencode(server.socket_folder / ".s.PGSQL.5432")) <= 107
        assert asyncio.run(through_sqlalchemy(server.url, "select current_user")) == "queue"
        assert (named / DATA / "postmaster.pid").exists()


def test_every_database_has_a_url(home: Path) -> None:
    with open_embedded(home, fsync=False) as server:
        ask(server, 'create database "a/b?c"')
        assert asyncio.run(through_sqlalchemy(server.url_for("a/b?c"), "select current_database()")) == "a/b?c"


@pytest.mark.parametrize("name", ["short", TOO_LONG])
def test_only_the_servers_account_may_open_the_folder_of_the_socket(home: Path, place: Path, name: str) -> None:
    named = place / name
    named.parent.mkdir(parents=True, exist_ok=True)
    home.rename(named)
    with open_embedded(named, fsync=False) as server:
        found = server.socket_folder.stat()
        assert found.st_mode & 0o777 == 0o700
        assert found.st_uid == psutil.Process(postmaster_pid(named)).uids().effective


def test_a_short_folder_for_the_socket_is_taken_from_the_runtime_folder(home: Path, place: Path) -> None:
    deep, runtime_dir = place / ("deep" * 30), place / "run"
    home.rename(deep)
    runtime_dir.mkdir(mode=0o755)
    with open_embedded(deep, fsync=False, runtime_dir=runtime_dir) as server:
        assert server.socket_folder.parent == runtime_dir
        # Somebody who does not know of the runtime folder finds the same server.
        with open_embedded(deep, fsync=False) as same:
            assert same.url == server.url
    assert not list(runtime_dir.iterdir())


def test_a_folder_somebody_else_has_prepared_is_not_used_for_the_socket(place: Path) -> None:
    account, home = account_for(place / "nothing"), place / ("deep" * 30)
    home.mkdir()
    expected = socket_folder(home, account, name=SOCKET, runtime_dir=place)
    expected.chmod(0o777)
    chosen = socket_folder(home, account, name=SOCKET, runtime_dir=place)
    assert chosen != expected
    assert account.owns_privately(chosen)
    expected.rmdir()
    expected.symlink_to(chosen)
    assert socket_folder(home, account, name=SOCKET, runtime_dir=place) != expected


def test_a_folder_for_the_socket_that_was_left_half_made_is_made_again(home: Path) -> None:
    (home / "socket").mkdir()
    with open_embedded(home, fsync=False) as server:
        assert server.socket_folder == home / "socket"
        assert server.socket_folder.stat().st_mode & 0o777 == 0o700
        assert ask(server, "select 1") == 1


def test_the_server_listens_on_no_network(home: Path) -> None:
    with open_embedded(home, fsync=False) as server:
        assert ask(server, "show listen_addresses") == ""
        assert not psutil.Process(postmaster_pid(home)).net_connections("inet")
        assert psutil.Process(postmaster_pid(home)).net_connections("unix")


def settings_of(server: EmbeddedPostgres) -> dict[str, str]:
    names = ("fsync", "full_page_writes", "synchronous_commit")
    return {name: ask(server, f"show {name}") for name in names}


def test_durability_is_on_unless_it_is_given_up(home: Path) -> None:
    with open_embedded(home) as server:
        assert set(settings_of(server).values()) == {"on"}
    with open_embedded(home, fsync=False) as server:
        assert set(settings_of(server).values()) == {"off"}
    with open_embedded(home) as server:
        assert set(settings_of(server).values()) == {"on"}


def test_a_user_who_wants_durability_gets_no_server_without_it(home: Path) -> None:
    with open_embedded(home, fsync=False) as server:
        with pytest.raises(EmbeddedError, match="runs without fsync"):
            open_embedded(home)
        assert ask(server, "select 1") == 1


def test_the_server_takes_enough_connections_and_its_role_may_do_everything(home: Path) -> None:
    with open_embedded(home, fsync=False) as server:
        assert int(ask(server, "show max_connections")) >= 200
        assert ask(server, "select rolsuper from pg_roles where rolname = current_user") is True


def test_the_environment_reaches_neither_the_server_nor_its_url(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    with monkeypatch.context() as while_opening:
        for name, value in {"PGSERVICE": "nowhere", "PGDATA": "/nowhere", "TZ": "Asia/Tokyo"}.items():
            while_opening.setenv(name, value)
        while_opening.setattr("dataqueue.storage.embedded.server.SILENCE", 10.0)
        server = open_embedded(home, fsync=False)
    with server:
        zone = "select reset_val from pg_settings where name = 'TimeZone'"
        assert asyncio.run(through_sqlalchemy(server.url, zone)) == "UTC"
        assert asyncio.run(through_sqlalchemy(server.url_for("template1"), "show port")) == "5432"
