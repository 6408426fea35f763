import threading
import time
from pathlib import Path

import psutil
import pytest

from dataqueue.storage.embedded import EmbeddedError, EmbeddedPostgres, open_embedded
from tests.embedded.support import DATA, MAJOR, ask, owners, pause, processes_in, programs_with, wait_until

# As far as an initdb that is killed half way gets, and then it stays there.
HALF_AN_INITDB = "mkdir base && echo 18 > PG_VERSION && exec sleep 600"


def initdbs_in(home: Path) -> list[psutil.Process]:
    return [process for process in processes_in(home) if process.cwd().endswith("new")]


def test_the_data_folder_is_named_by_the_major_version(empty_home: Path) -> None:
    with open_embedded(empty_home, fsync=False):
        assert (empty_home / DATA / "PG_VERSION").read_text().strip() == str(MAJOR)
        assert not (empty_home / "new").exists()


def test_a_kill_inside_initdb_leaves_a_folder_that_the_next_start_repairs(empty_home: Path, place: Path) -> None:
    halting = programs_with(place / "bin", initdb=HALF_AN_INITDB)
    with owners(empty_home, 1, pg_bin=halting) as (owner,):
        wait_until("initdb is half done", (empty_home / "new" / "PG_VERSION").exists)
        owner.kill()
        for process in initdbs_in(empty_home):
            process.kill()
    assert not (empty_home / DATA).exists()
    with open_embedded(empty_home, fsync=False) as server:
        assert ask(server, "select 1") == 1


def test_an_initdb_that_outlives_its_owner_is_waited_for(
    empty_home: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halting = programs_with(place / "bin", initdb=HALF_AN_INITDB)
    with owners(empty_home, 1, pg_bin=halting) as (owner,):
        wait_until("initdb is half done", (empty_home / "new" / "PG_VERSION").exists)
        owner.kill()
    looks: list[float] = []

    def counting(seconds: float) -> None:
        looks.append(seconds)
        pause(seconds)

    monkeypatch.setattr(time, "sleep", counting)
    opened: list[EmbeddedPostgres] = []
    opener = threading.Thread(target=lambda: opened.append(open_embedded(empty_home, fsync=False)))
    opener.start()
    try:
        wait_until("the next start has looked three times", lambda: len(looks) >= 3)
        assert (empty_home / "new" / "PG_VERSION").exists()
        assert initdbs_in(empty_home)
    finally:
        for process in initdbs_in(empty_home):
            process.kill()
        opener.join(30)
    with opened[0] as server:
        assert ask(server, "select 1") == 1


def test_an_initdb_that_fails_says_why_and_leaves_no_data_folder(empty_home: Path, place: Path) -> None:
    failing = programs_with(place / "bin", initdb="echo the disk is full; exit 1")
    with pytest.raises(EmbeddedError, match="the disk is full"):
        open_embedded(empty_home, fsync=False, pg_bin=failing)
    assert not (empty_home / DATA).exists()


def test_data_of_another_version_are_not_passed_over(empty_home: Path) -> None:
    other = empty_home / "pg16"
    other.mkdir(parents=True)
    (other / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match=r"data of PostgreSQL 16.*DATAQUEUE_PG_BIN"):
        open_embedded(empty_home, fsync=False)
    assert not (empty_home / DATA).exists()


def test_a_home_that_cannot_be_used_is_named_with_the_fix(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(EmbeddedError, match=r"file.*set DATAQUEUE_HOME"):
        open_embedded(place / "file", fsync=False)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing_running(home: Path) -> None:
    (home / DATA / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match=r"could not .*pg_control"):
        open_embedded(home, fsync=False)
    assert not processes_in(home)
