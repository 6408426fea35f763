"""A job that is to be killed when its time is up runs in a process that waits for such jobs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import FailureReason
from dataqueue.outcome import Completed, Crashed, Failed, Outcome, Released
from tests.workers.fake_work import FakeWork, a_job
from tests.workers.processes import lives, pids_in, until
from workers.isolation import Isolation

ROOT = Path(__file__).parents[2]
MODULES = ["tests.workers.killed_handlers"]
LATEST = 0.1
"""Seconds after the deadline that something may still be written."""


@pytest.fixture(autouse=True)
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture
async def isolation() -> AsyncIterator[Isolation]:
    isolation = Isolation(MODULES, warm=1)
    yield isolation
    await isolation.close()


def to_kill(job_type: str, payload: object = None, *, timeout_ms: int = 20_000, crashes: int = 0) -> ClaimedJob:
    return a_job(job_type, payload, timeout_ms=timeout_ms, crashes=crashes, force_kill_on_timeout=True)


async def run(isolation: Isolation, job_type: str, payload: object = None, **fields: int) -> Outcome:
    return await isolation(to_kill(job_type, payload, **fields), FakeWork())


def output_of(outcome: Outcome) -> Any:
    assert isinstance(outcome, Completed), outcome
    return json.loads(outcome.output or "null")


def assert_timed_out(outcome: Outcome) -> None:
    assert isinstance(outcome, Failed)
    assert outcome.failure.reason is FailureReason.TIMEOUT


async def test_a_process_is_used_again_and_has_started_up_once(isolation: Isolation) -> None:
    first = output_of(await run(isolation, "pid"))
    assert first[1] == ["started"]
    assert output_of(await run(isolation, "pid_in_thread")) == first
    assert output_of(await run(isolation, "pid")) == first


async def test_a_failure_is_no_reason_to_let_the_process_go(isolation: Isolation) -> None:
    outcome = await run(isolation, "fails")
    assert isinstance(outcome, Failed)
    assert int(outcome.failure.message) == output_of(await run(isolation, "pid"))[0]


async def test_threads_and_processes_that_have_ended_are_no_reason_either(isolation: Isolation) -> None:
    assert output_of(await run(isolation, "uses_threads")) == output_of(await run(isolation, "uses_threads"))


@pytest.mark.parametrize("job_type", ["leaves_a_thread", "leaves_a_task"])
async def test_what_a_job_leaves_running_ends_with_its_process(isolation: Isolation, job_type: str) -> None:
    pid = output_of(await run(isolation, job_type))
    assert output_of(await run(isolation, "pid"))[0] != pid
    await until(lambda: not lives(pid), "the end of the process")


async def test_a_process_that_a_job_leaves_running_ends_wherever_it_has_gone(
    isolation: Isolation, tmp_path: Path
) -> None:
    pid = output_of(await run(isolation, "leaves_a_child", {"folder": str(tmp_path)}))
    left = int((tmp_path / "left").read_text())
    await until(lambda: not lives(left) and not lives(pid), "the end of both")
    assert output_of(await run(isolation, "pid"))[0] != pid


async def test_a_process_does_a_bounded_number_of_jobs() -> None:
    isolation = Isolation(MODULES, warm=1, most_jobs=2)
    pids = [output_of(await run(isolation, "pid"))[0] for _ in range(4)]
    await isolation.close()
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_a_crash_is_the_jobs_and_the_next_finds_another_process(isolation: Isolation) -> None:
    before = output_of(await run(isolation, "pid"))[0]
    assert await run(isolation, "dies") == Crashed()
    assert output_of(await run(isolation, "pid"))[0] != before


async def test_a_process_that_died_while_it_waited_is_nobodys_crash(isolation: Isolation) -> None:
    before = output_of(await run(isolation, "pid"))[0]
    os.kill(before, 9)
    await until(lambda: not lives(before), "its end")
    assert output_of(await run(isolation, "pid"))[0] != before


async def test_a_job_that_has_crashed_gets_a_process_that_nobody_else_had(isolation: Isolation) -> None:
    warm = output_of(await run(isolation, "pid"))[0]
    alone = output_of(await run(isolation, "pid", crashes=1))[0]
    assert alone != warm
    await until(lambda: not lives(alone), "its end")
    assert output_of(await run(isolation, "pid"))[0] == warm


async def test_progress_and_output_are_set_and_what_is_durable_is_refused(isolation: Isolation) -> None:
    work = FakeWork()
    outcome = await isolation(to_kill("says"), work)
    assert output_of(outcome) == ["run", "wait_for", "create_token", "prolong", "on_timeout"]
    assert [note.progress for note in work.notes] == [30, None]


@pytest.mark.parametrize("crashes", [0, 1])
@pytest.mark.parametrize("job_type", ["writes", "writes_in_thread"])
async def test_nothing_is_written_after_the_deadline_however_busy_the_worker_is(
    isolation: Isolation, tmp_path: Path, job_type: str, crashes: int
) -> None:
    if not crashes:
        await run(isolation, "noop")
    job = asyncio.create_task(run(isolation, job_type, {"folder": str(tmp_path)}, timeout_ms=1500, crashes=crashes))
    await until(lambda: len(times_in(tmp_path)) == 5 or job.done(), "five that write")
    block(3)
    assert_timed_out(await job)
    times = times_in(tmp_path)
    assert set(times) == {"handler", "child", "group", "session", "orphan"}
    late = lateness(tmp_path, 1.5)
    assert max(late.values()) < LATEST, late
    assert output_of(await run(isolation, "pid"))
    assert times_in(tmp_path) == times


def block(seconds: float) -> None:
    """Let nothing of ours run easily: the loop is blocked, and other threads hold the interpreter as they can."""
    until_when = time.monotonic() + seconds

    def spin() -> None:
        while time.monotonic() < until_when:
            pass

    threads = [threading.Thread(target=spin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lateness(folder: Path, timeout: float) -> dict[str, float]:
    """By whom: how long after the deadline something was written last."""
    deadline = float((folder / "began").read_text()) + timeout
    return {name: last - deadline for name, (_, last) in times_in(folder).items()}


def times_in(folder: Path) -> dict[str, tuple[float, float]]:
    """By whom: when something was written first and last."""
    found = {}
    for file in folder.glob("*.times"):
        # The last line may not be whole.
        times = [float(line) for line in file.read_text().split("\n")[:-1]]
        if times:
            found[file.stem] = (times[0], times[-1])
    return found


async def test_after_a_timeout_the_next_job_finds_another_process(isolation: Isolation) -> None:
    before = output_of(await run(isolation, "pid"))[0]
    assert_timed_out(await run(isolation, "naps", 60, timeout_ms=100))
    assert not lives(before)
    assert output_of(await run(isolation, "pid"))[0] != before


async def test_a_cancelled_wait_kills_the_process(isolation: Isolation) -> None:
    before = output_of(await run(isolation, "pid"))[0]
    job = asyncio.create_task(run(isolation, "naps", 60))
    await asyncio.wait({job}, timeout=0.2)
    job.cancel()
    await asyncio.wait({job})
    assert job.cancelled()
    assert not lives(before)


async def test_jobs_share_what_is_warm(isolation: Isolation) -> None:
    outcomes = await asyncio.gather(*(run(isolation, "pid") for _ in range(30)))
    assert len({output_of(outcome)[0] for outcome in outcomes}) == 1


async def test_no_job_waits_for_a_long_one_to_end(isolation: Isolation) -> None:
    long = asyncio.create_task(run(isolation, "naps", 60, timeout_ms=60_000))
    await asyncio.wait({long}, timeout=0.1)
    assert output_of(await run(isolation, "pid"))
    assert not long.done()
    long.cancel()
    await asyncio.wait({long})


async def test_closing_runs_the_shutdown_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_HOOKS", str(tmp_path))
    isolation = Isolation(MODULES, warm=1)
    pid = output_of(await run(isolation, "pid"))[0]
    assert not pids_in(tmp_path, "stopped")
    await isolation.close()
    assert pids_in(tmp_path, "stopped") == [pid]
    assert not lives(pid)


async def test_handlers_that_cannot_be_loaded_fail_the_job() -> None:
    isolation = Isolation(["tests.workers.nowhere"], warm=1)
    outcome = await run(isolation, "pid")
    await isolation.close()
    assert isinstance(outcome, Failed)
    assert "'tests.workers.nowhere' cannot be found" in outcome.failure.message


async def test_a_job_whose_process_cannot_be_started_is_given_back() -> None:
    isolation = Isolation(MODULES, command=["/nowhere/python"])
    assert [await run(isolation, "pid"), await run(isolation, "pid", crashes=1)] == [Released(), Released()]
    await isolation.close()


async def test_a_killed_worker_leaves_neither_busy_nor_waiting_processes(tmp_path: Path) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from tests.workers.test_force_kill import be_a_worker; be_a_worker(sys.argv[1])",
        str(tmp_path),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    waiting = json.loads(await worker.stdout.readline())
    await until(lambda: len(times_in(tmp_path)) == 5, "five that write")
    worker.kill()
    await worker.wait()
    await until(lambda: not lives(waiting), "the end of the one that waits")
    await until(lambda: not any(map(lives, writers_in(tmp_path))), "the end of those that write")


def be_a_worker(folder: str) -> None:
    async def work() -> None:
        isolation = Isolation(MODULES, warm=2)
        pids = await asyncio.gather(run(isolation, "naps", 0.3), run(isolation, "naps", 0.3))
        busy = asyncio.create_task(run(isolation, "writes", {"folder": folder}))
        await asyncio.wait({busy}, timeout=1)
        # The one that came free last has been taken.
        print(min(output_of(pid) for pid in pids), flush=True)  # noqa: T201 - to the test
        await busy

    asyncio.run(work())


def writers_in(folder: Path) -> list[int]:
    """The processes that have a file open there."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if any(file.path.startswith(str(folder)) for file in process.open_files()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
