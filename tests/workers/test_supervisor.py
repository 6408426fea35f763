"""Children are kept alive, told to drain, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.workers.processes import lives, pids_in, until
from workers.shutdown import Shutdown
from workers.supervisor import CANNOT_START, Patience, Supervisor

STUB = Path(__file__).with_name("stub_child.py")
ROOT = STUB.parents[2]


def a_supervisor(folder: Path, behaviour: str = "good", *, count: int = 1, drain: float = 10) -> Supervisor:
    return Supervisor(
        name="stub",
        command=[sys.executable, str(STUB), str(folder), behaviour],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        count=count,
        patience=Patience(drain=drain, hurry=0.5, first_restart=0.01, longest_restart=0.05),
    )


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[tuple[Shutdown, asyncio.Task[int]]]:
    shutdown = Shutdown()
    shutdown.attach()
    task = asyncio.create_task(supervisor.run(shutdown))
    try:
        yield shutdown, task
    finally:
        shutdown.tell_hurry()
        await task


async def test_a_drain_ends_every_child_and_is_exit_code_0(tmp_path: Path) -> None:
    async with running(a_supervisor(tmp_path, count=3)) as (shutdown, task):
        await until(lambda: len(pids_in(tmp_path)) == 3, "three children")
        shutdown.tell_drain()
        assert await task == 0
    assert len(pids_in(tmp_path, "drain")) == 3
    assert not any(map(lives, pids_in(tmp_path)))


async def test_what_a_child_says_of_itself_is_known(tmp_path: Path) -> None:
    supervisor = a_supervisor(tmp_path)
    async with running(supervisor):
        await supervisor.ready.wait()
        assert supervisor.about == {"life": 1}


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    supervisor = a_supervisor(tmp_path, "dies-once")
    async with running(supervisor) as (shutdown, task):
        await until(lambda: supervisor.about == {"life": 2}, "the second life")
        shutdown.tell_drain()
        assert await task == 0


async def test_a_child_that_is_killed_is_started_again(tmp_path: Path) -> None:
    supervisor = a_supervisor(tmp_path)
    async with running(supervisor):
        await supervisor.ready.wait()
        os.kill(pids_in(tmp_path)[0], signal.SIGKILL)
        await until(lambda: supervisor.about == {"life": 2}, "the second life")


async def test_what_a_dead_child_had_started_is_ended(tmp_path: Path) -> None:
    async with running(a_supervisor(tmp_path, "with-offspring")):
        await until(lambda: pids_in(tmp_path, "offspring"), "a child of the child")
        offspring = pids_in(tmp_path, "offspring")[0]
        await until(lambda: not lives(offspring), "the end of the child's child")


async def test_what_keeps_children_from_starting_is_said_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(a_supervisor(tmp_path, "cannot-start", count=4)) as (_, task):
        assert await task == CANNOT_START
    assert len(pids_in(tmp_path)) == 1
    assert capfd.readouterr().err.count("stub: the reason") == 1


async def test_a_first_child_that_dies_before_it_is_ready_ends_the_supervisor(tmp_path: Path) -> None:
    async with running(a_supervisor(tmp_path, "dies-early", count=2)) as (_, task):
        assert await task == 1
    assert len(pids_in(tmp_path)) == 1


async def test_a_child_that_cannot_start_again_ends_the_supervisor_when_no_other_serves(tmp_path: Path) -> None:
    async with running(a_supervisor(tmp_path, "cannot-start-again")) as (_, task):
        assert await task == CANNOT_START
    assert len(pids_in(tmp_path)) == 2


async def test_a_hurry_reaches_a_child_that_drains_slowly(tmp_path: Path) -> None:
    supervisor = a_supervisor(tmp_path, "slow")
    async with running(supervisor) as (shutdown, task):
        await supervisor.ready.wait()
        shutdown.tell_drain()
        await until(lambda: pids_in(tmp_path, "drain"), "the drain")
        shutdown.tell_hurry()
        assert await task == 0
    assert pids_in(tmp_path, "hurry")


async def test_a_drain_interrupts_a_child_that_is_still_starting(tmp_path: Path) -> None:
    async with running(a_supervisor(tmp_path, "slow-to-start", drain=30)) as (shutdown, task):
        await until(lambda: pids_in(tmp_path, "starting"), "a child that starts")
        shutdown.tell_drain()
        async with asyncio.timeout(10):
            assert await task == 0


async def test_a_child_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    supervisor = a_supervisor(tmp_path, "deaf", drain=0.1)
    async with running(supervisor) as (shutdown, task):
        await until(lambda: pids_in(tmp_path, "deaf"), "a child that hears nothing")
        shutdown.tell_drain()
        assert await task == 1
    assert not any(map(lives, pids_in(tmp_path)))


async def test_a_signal_to_every_process_is_one_drain(tmp_path: Path) -> None:
    """As an init system sends it, to children and parent alike."""
    supervisor = a_supervisor(tmp_path, count=2)
    async with running(supervisor) as (shutdown, task):
        await until(lambda: len(pids_in(tmp_path)) == 2, "two children")
        await supervisor.ready.wait()
        shutdown.tell_drain()
        for pid in pids_in(tmp_path):
            os.kill(pid, signal.SIGTERM)
        assert await task == 0


@pytest.mark.parametrize("behaviour", ["good", "deaf-orphan"])
async def test_children_end_when_their_parent_is_killed(tmp_path: Path, behaviour: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio, sys, pathlib; from tests.workers.test_supervisor import Shutdown, a_supervisor;"
        "asyncio.run(a_supervisor(pathlib.Path(sys.argv[1]), sys.argv[2]).run(Shutdown()))",
        str(tmp_path),
        behaviour,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    said = "deaf" if behaviour == "deaf-orphan" else "pid"
    await until(lambda: pids_in(tmp_path, said), "a child that runs")
    parent.kill()
    await parent.wait()
    await until(lambda: not any(map(lives, pids_in(tmp_path))), "the end of the orphan")


def test_a_restart_waits_longer_each_time_and_never_too_long() -> None:
    patience = Patience(drain=1, first_restart=0.1, longest_restart=30)
    assert [patience.before_restart(n) for n in (1, 2, 3)] == pytest.approx([0.1, 0.2, 0.4])
    assert patience.before_restart(10_000) == 30
