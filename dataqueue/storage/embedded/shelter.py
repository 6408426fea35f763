"""Copies PostgreSQL's programs to where an unprivileged account can run them.

Only root needs it, when the programs lie below a private folder (a venv in /root). The user's folders keep
their modes; the copy is a cache that may be deleted while no server runs.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.errors import EmbeddedError

SHELTERS: Final = (Path("/var/cache/dataqueue"), Path("/tmp/dataqueue-cache"))

# Headers, static libraries and manuals are two thirds of an installation and of no use to a server.
UNNEEDED: Final = shutil.ignore_patterns("include", "doc", "man", "pgxs", "pkgconfig", "*.a", "__pycache__")


def shelter(folder: Path) -> Path:
    """A copy of the programs' folder, with the libraries and data it needs, that every account can reach."""
    place = _place()
    name = _name(folder)
    if not (place / name).is_dir():
        # Copied aside, then renamed: a copy appears whole or not at all, whoever is killed or comes second.
        half = Path(tempfile.mkdtemp(prefix="copying-", dir=place))
        try:
            _copy(folder, half)
            half.rename(place / name)
        except OSError:
            if not (place / name).is_dir():
                raise
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return place / name / folder.relative_to(folder.parents[2])


def _place() -> Path:
    for place in SHELTERS:
        try:
            place.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        found = place.lstat()
        # Somebody else's folder, or one others write to, could hand us their programs to run.
        if not place.is_symlink() and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
            place.chmod(0o755)
            return place
    raise EmbeddedError(
        "PostgreSQL's programs need a copy outside your private folders, and none of "
        f"{', '.join(map(str, SHELTERS))} can be written: set DATAQUEUE_PG_BIN to programs that every "
        "account can reach."
    )


def _name(folder: Path) -> str:
    postgres = (folder / "postgres").stat()
    identity = f"{folder}\0{postgres.st_size}\0{postgres.st_mtime_ns}"
    return f"pg-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _copy(folder: Path, target: Path) -> None:
    installation = folder.parent
    package = installation.parent
    shutil.copytree(installation, target / package.name / installation.name, ignore=UNNEEDED)
    # Wheels keep shared libraries beside the package and find them by a path relative to the program.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    _open_to_all(target)


def _open_to_all(target: Path) -> None:
    # Files installed under a strict umask keep its modes through the copy.
    target.chmod(0o755)
    for path in target.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
