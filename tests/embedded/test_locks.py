import subprocess
import sys
from pathlib import Path

import pytest

from dataqueue.storage.embedded.locks import ServerLock, Users, gate

STAY = [sys.executable, "-c", "input()"]
TAKE_THE_GATE = """
import sys
from pathlib import Path
from dataqueue.storage.embedded.locks import gate
with gate(Path(sys.argv[1])):
    print("in", flush=True)
    input()
"""


def test_the_servers_lock_is_held_as_long_as_a_process_that_inherited_it_lives(tmp_path: Path) -> None:
    lock = ServerLock(tmp_path)
    assert not lock.is_held()
    with lock.handed_over() as descriptor:
        child = subprocess.Popen(STAY, stdin=subprocess.PIPE, pass_fds=[descriptor])
    with child:
        assert lock.is_held()
        with pytest.raises(BlockingIOError), lock.handed_over():
            pass
        child.kill()
    assert not lock.is_held()


def test_the_gate_lets_one_process_in_and_is_free_after_a_kill(tmp_path: Path) -> None:
    with gate(tmp_path):
        waiting = subprocess.Popen(
            [sys.executable, "-c", TAKE_THE_GATE, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
    with waiting:
        assert waiting.stdout
        assert waiting.stdout.readline() == "in\n"
        waiting.kill()
    with gate(tmp_path):
        pass


def test_only_the_last_user_is_alone(tmp_path: Path) -> None:
    first, second = Users(tmp_path), Users(tmp_path)
    first.join()
    second.join()
    assert first.leave() is False
    assert second.leave() is True
