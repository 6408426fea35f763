"""What a process number stands for: a number alone proves nothing, it is given out again."""

import os
import subprocess
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


def is_postmaster(pid: int, data: Path) -> bool:
    """Whether the process lives and is a PostgreSQL server of this data folder.

    A zombie is dead, and a process with another command line or folder has only inherited the number.
    """
    if pid <= 0:
        return False
    return _is_by_proc(pid, data) if (PROC / "self").exists() else _is_by_ps(pid, data)


def works_in(pid: int, data: Path) -> bool:
    """Whether the process lives and its working folder is this one; where that is not told, whether it lives."""
    if pid <= 0:
        return False
    if not (PROC / "self").exists():
        return bool(state := _state_and_command(pid)[0]) and not state.startswith("Z")
    try:
        # A zombie has none.
        return (PROC / str(pid) / "cwd").samefile(data)
    except OSError:
        return False


def _is_by_proc(pid: int, data: Path) -> bool:
    try:
        # Empty for a zombie.
        program, *arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    if Path(os.fsdecode(program)).name != "postgres":
        return False
    try:
        # A server stays in its data folder; the link is readable to root and to the server's own account.
        return (PROC / str(pid) / "cwd").samefile(data)
    except OSError:
        return os.fsencode(data) in arguments


def _is_by_ps(pid: int, data: Path) -> bool:
    state, command = _state_and_command(pid)
    program = command.partition(" ")[0]
    return not state.startswith("Z") and Path(program).name == "postgres" and str(data) in command


def _state_and_command(pid: int) -> tuple[str, str]:
    answer = subprocess.run(
        ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, command = answer.stdout.strip().partition(" ")
    return state, command.strip()
