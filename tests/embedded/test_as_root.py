"""Root's own cases: PostgreSQL refuses root, and root's folders are private."""

import os
import pwd
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from dataqueue.storage.embedded import EmbeddedError, open_embedded
from dataqueue.storage.embedded import shelter as shelter_module
from dataqueue.storage.embedded.account import account_for
from dataqueue.storage.embedded.binaries import find_binaries
from dataqueue.storage.embedded.shelter import shelter
from tests.embedded.support import DATA, ask, kill_server, postmaster_pid, processes_in

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root runs the server as another account")


DAEMON = pwd.getpwnam("daemon").pw_uid


def modes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in (folder, *folder.parents)}


def test_the_server_runs_as_an_account_that_was_there_before(home: Path) -> None:
    accounts = Path("/etc/passwd").read_bytes()
    ours = os.getgroups()
    os.setgroups([0, 4])
    try:
        opened = open_embedded(home, fsync=False)
    finally:
        os.setgroups(ours)
    with opened:
        server, nobody = psutil.Process(postmaster_pid(home)), pwd.getpwnam("nobody")
        assert set(server.uids()) == {nobody.pw_uid}
        assert set(server.gids()) == {nobody.pw_gid}
        groups = re.search(r"^Groups:(.*)$", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)
        assert groups
        assert not groups[1].strip(), "it keeps groups of root's"
    assert Path("/etc/passwd").read_bytes() == accounts


def test_a_home_below_a_private_folder_works_and_no_mode_changes(place: Path) -> None:
    private = place / "root"
    private.mkdir(mode=0o700)
    home = private / ".local" / "share" / "dataqueue"
    home.parent.mkdir(parents=True)
    before = modes(home.parent)
    with open_embedded(home) as server:
        ask(server, "create table kept as select 7 as number")
        assert ask(server, "select pg_reload_conf()") is True
        kill_server(home)
        with open_embedded(home) as again:
            assert ask(again, "select number from kept") == 7
            pid = postmaster_pid(home)
            assert Path(psutil.Process(pid).cwd()) == home / DATA
    assert not processes_in(home)
    assert (home / DATA / "PG_VERSION").exists()
    assert modes(home.parent) == before


def private_programs(place: Path) -> Path:
    """The real programs, seen below a folder that only root enters."""
    private = place / "venv"
    private.mkdir(mode=0o700)
    real = find_binaries(account_for(place / "nothing")).folder
    for name in (real.parents[1].name, f"{real.parents[1].name}.libs"):
        (private / name).symlink_to(real.parents[2] / name)
    return private / real.relative_to(real.parents[2])


@pytest.fixture
def cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies go."""
    monkeypatch.setattr(shelter_module, "SHELTERS", (place / "cache",))
    return place / "cache"


def test_programs_below_a_private_folder_are_copied_and_no_mode_changes(home: Path, place: Path, cache: Path) -> None:
    programs = private_programs(place)
    before = modes(programs)
    with open_embedded(home, fsync=False, pg_bin=programs) as server:
        assert ask(server, "select 1") == 1
        assert Path(psutil.Process(postmaster_pid(home)).exe()).is_relative_to(cache)
    assert modes(programs) == before


def test_a_copy_is_made_once(place: Path, cache: Path) -> None:
    programs = private_programs(place)
    first = shelter(programs)
    made = first.stat()
    assert shelter(programs) == first
    assert first.stat() == made
    assert len(list(cache.iterdir())) == 1


def test_a_copy_of_programs_installed_under_a_strict_umask_can_be_run(place: Path, cache: Path) -> None:
    package = place / "venv" / "package"
    (package / "install" / "bin").mkdir(parents=True)
    program = package / "install" / "bin" / "postgres"
    program.write_text('#!/bin/sh\ncat "${0%/*}/../share/greeting"\n')
    program.chmod(0o700)
    (package / "install" / "share").mkdir(mode=0o700)
    (package / "install" / "share" / "greeting").write_text("hello")
    (package / "install" / "share" / "greeting").chmod(0o600)
    package.chmod(0o700)
    copied = shelter(program.parent)
    assert copied.is_relative_to(cache)
    assert account_for(place / "nothing").run([copied / "postgres"]).stdout == "hello"
    assert program.stat().st_mode & 0o777 == 0o700


def test_a_copy_never_goes_where_others_can_write(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = private_programs(place)
    open_to_all, anothers, link, ours = (place / name for name in ("open", "anothers", "link", "ours"))
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    anothers.mkdir()
    os.chown(anothers, 65534, 65534)
    link.symlink_to(anothers)
    monkeypatch.setattr(shelter_module, "SHELTERS", (open_to_all, anothers, link, ours))
    assert shelter(programs).is_relative_to(ours)
    monkeypatch.setattr(shelter_module, "SHELTERS", (open_to_all, place / "no" / "such"))
    with pytest.raises(EmbeddedError, match="DATAQUEUE_PG_BIN"):
        shelter(programs)


# Everything is imported before root is given up: the interpreter may lie below a private folder.
AS_ANOTHER = """
    import asyncio, encodings.idna, os, sys, traceback
    from pathlib import Path
    import asyncpg
    from dataqueue.storage.embedded import EmbeddedError, open_embedded
    uid, home = int(sys.argv[1]), Path(sys.argv[2])
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
    try:
        server = open_embedded(home, fsync=False)
    except EmbeddedError as error:
        sys.exit(str(error))
    line = (home / "{data}" / "postmaster.pid").read_text().split()[0]
    print(Path(f"/proc/{{line}}").stat().st_uid, server.socket_folder)
    server.close()
"""


def run_as_another(uid: int, home: Path) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(AS_ANOTHER.format(data=DATA))
    return subprocess.run(
        [sys.executable, "-c", program, str(uid), str(home)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_another_user_runs_the_server_as_themselves(empty_home: Path) -> None:
    empty_home.mkdir()
    os.chown(empty_home, DAEMON, DAEMON)
    answer = run_as_another(DAEMON, empty_home)
    assert answer.stdout.split() == [str(DAEMON), str(empty_home / "socket")], answer.stderr
    assert (empty_home / DATA).stat().st_uid == DAEMON
    # Root joins as the data folder's owner.
    with open_embedded(empty_home, fsync=False) as server:
        assert ask(server, "select 1") == 1
        assert psutil.Process(postmaster_pid(empty_home)).uids().effective == DAEMON
    assert not processes_in(empty_home)


def test_somebody_elses_data_are_named_with_the_fix(home: Path) -> None:
    home.chmod(0o777)
    answer = run_as_another(DAEMON, home)
    assert answer.returncode == 1
    assert "belongs to user id" in answer.stderr
    assert "DATAQUEUE_HOME" in answer.stderr


def test_a_user_without_a_name_is_told_what_to_do(empty_home: Path) -> None:
    empty_home.mkdir()
    os.chown(empty_home, 4242, 4242)
    answer = run_as_another(4242, empty_home)
    assert answer.returncode == 1
    assert "/etc/passwd" in answer.stderr
    assert "DATAQUEUE_URL" in answer.stderr
