import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from dataqueue.storage.embedded import open_embedded
from tests.embedded.support import DATA, processes_in


@contextmanager
def _reachable_folder() -> Iterator[Path]:
    # pytest's own folders are private, which is a case of its own here: root's server cannot reach them.
    folder = Path(tempfile.mkdtemp(prefix="dq-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        left = processes_in(folder)
        for process in left:
            # A server's children end with it, before it is their turn.
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account can reach, and that no server outlives."""
    with _reachable_folder() as folder:
        yield folder


@pytest.fixture
def empty_home(place: Path) -> Path:
    """A home that nobody has opened yet."""
    return place / "home"


@pytest.fixture(scope="session")
def made_once() -> Iterator[Path]:
    with _reachable_folder() as folder:
        open_embedded(folder / "home", fsync=False).close()
        yield folder / "home" / DATA


@pytest.fixture
def home(empty_home: Path, made_once: Path) -> Path:
    """A home with a data folder, no server running."""
    empty_home.mkdir()
    subprocess.run(["cp", "-a", made_once, empty_home], check=True)
    return empty_home
