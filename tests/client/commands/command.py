"""Running `dataqueue …` as a user does: in this process, in one of its own, or on a terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from dataqueue.client.encoding import decode
from workers.cli import main

ROOT: Final = Path(__file__).parents[3]
COMMAND: Final = (sys.executable, "-P", "-m", "workers")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_WITHIN: Final = 60.0
_PATIENCE: Final = 1.0
_processes: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The tab-separated lines."""
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def json(self) -> list[Any]:
        """The documents, one a line."""
        return [decode(line) for line in self.out.splitlines()]

    @property
    def sentence(self) -> str:
        """The one line on stderr, which says what is wrong; nothing was printed."""
        assert self.out == ""
        assert self.err.startswith("dataqueue: ")
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("dataqueue: ").rstrip("\n")


def environment(url: str, **variables: str) -> dict[str, str]:
    """The caller's, without settings of ours but these, and without the size of the caller's terminal."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATAQUEUE_", "COLUMNS", "LINES"))
    }
    return {**kept, "DATAQUEUE_API_URL": url, **variables}


class Command:
    """`dataqueue`, run in this process: as good as one of its own, and much faster."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.url = url
        for name in [name for name in os.environ if name.startswith("DATAQUEUE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("DATAQUEUE_API_URL", url)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Done:
        self._monkeypatch.setattr(sys, "argv", ["dataqueue", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = self._capsys.readouterr()
        assert isinstance(left.value.code, int | None)
        return Done(left.value.code or 0, out, err)


class Terminal:
    """A command on a terminal of its own, as somebody sees it who types."""

    def __init__(self, *arguments: str, url: str, columns: int = 160, stdout: int | None = None) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self._raw = b""
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=environment(url, TERM="xterm-256color"),
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
            # Its controlling terminal, so that Ctrl-C typed there is one.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no other thread runs yet
        )
        os.close(theirs)
        _processes.append(self.process)

    @property
    def raw(self) -> str:
        return self._raw.decode(errors="replace")

    @property
    def seen(self) -> str:
        """What was printed, without what moves the cursor and gives colours."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    def types(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, text: str) -> None:
        """Wait until that is seen."""
        while text not in self.seen:
            assert self._reads(), f"it ended without {text!r}: {self.seen}"

    def code(self) -> int:
        """Wait for its end; its exit code."""
        while self._reads():
            pass
        os.close(self._ours)
        return self.process.wait(_WITHIN)

    def interrupts(self) -> int:
        """Type Ctrl-C, again where nothing comes of it; its exit code. Python does not hear of one that comes between
        its last look for signals and the read in which it waits for an answer."""
        self.types("\x03")
        while True:
            if not select.select([self._ours], [], [], _PATIENCE)[0]:
                self.types("\x03")
            elif not self._reads():
                break
        os.close(self._ours)
        return self.process.wait(_WITHIN)

    def _reads(self) -> bool:
        readable, _, _ = select.select([self._ours], [], [], _WITHIN)
        assert readable, f"nothing more after {self.seen!r}"
        try:
            more = os.read(self._ours, 1 << 16)
        except OSError:  # Linux says so when the last process has closed it
            return False
        self._raw += more
        return bool(more)


def started(*arguments: str, url: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own, between pipes."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _processes.append(process)
    return process


def end_all() -> None:
    """End what a test has left behind."""
    while _processes:
        process = _processes.pop()
        process.kill()
        with process:
            pass
