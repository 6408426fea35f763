"""A job alone in a process of its own: what it does to that process is its outcome, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from dataqueue.domain.job import FailureReason, Json
from dataqueue.outcome import Completed, Crashed, Failed, Outcome, Released
from tests.workers.fake_work import FakeWork, a_job
from tests.workers.processes import lives, pids_in, until
from workers.isolation import Isolation

ROOT = Path(__file__).parents[2]
MODULES = ["tests.workers.isolated_handlers"]


@pytest.fixture(autouse=True)
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


async def run(job_type: str, payload: object = None, *, timeout_ms: int | None = None) -> Outcome:
    return await Isolation(MODULES, grace=0.3)(a_job(job_type, payload, timeout_ms=timeout_ms), FakeWork())


async def test_an_async_handler_completes_with_its_output() -> None:
    outcome = await run("echo", {"ä": [1, None]})
    assert isinstance(outcome, Completed)
    assert json.loads(outcome.output or "") == {"payload": {"ä": [1, None]}, "attempt": 2, "hooks": ["started"]}


async def test_a_plain_function_completes_with_its_output() -> None:
    assert await run("echo_sync", "text") == Completed(Json('"text"'))


async def test_start_up_and_shutdown_hooks_run(capfd: pytest.CaptureFixture[str]) -> None:
    await run("echo", {})
    assert "stopped after the handler" in capfd.readouterr().err


async def test_a_large_output_comes_back_whole() -> None:
    assert await run("large") == Completed(Json(json.dumps("x" * 1_000_000)))


async def test_what_the_handler_prints_and_reads_disturbs_nothing() -> None:
    assert await run("noise") == Completed(Json('"heard"'))


async def test_what_a_handler_left_running_delays_nothing() -> None:
    assert await run("leaves_a_task", timeout_ms=10_000) == Completed(Json('"done"'))


async def test_a_refusal_is_a_failure_as_in_any_worker() -> None:
    outcome = await run("rejects")
    assert isinstance(outcome, Failed)
    assert (outcome.failure.reason, outcome.failure.message) == (FailureReason.REJECTED, "it will never do")


async def test_an_output_that_is_no_json_is_a_failure_as_in_any_worker() -> None:
    outcome = await run("unwritable")
    assert isinstance(outcome, Failed)
    assert "cannot be JSON" in outcome.failure.message


@pytest.mark.parametrize(
    ("job_type", "payload"), [("exits", {"code": 0}), ("exits", {"code": 3}), ("killed", None), ("segfaults", None)]
)
async def test_a_handler_that_ends_its_process_crashed(job_type: str, payload: object) -> None:
    assert await run(job_type, payload) == Crashed()


async def test_a_copy_that_holds_the_pipes_open_does_not_hide_a_crash(tmp_path: Path) -> None:
    assert await run("forks", {"folder": str(tmp_path)}) == Crashed()
    await until(lambda: not any(map(lives, pids_in(tmp_path))), "the end of the copy")


async def test_a_job_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    outcome = await run("hangs", {"folder": str(tmp_path)}, timeout_ms=700)
    assert isinstance(outcome, Failed)
    assert outcome.failure.reason is FailureReason.TIMEOUT
    assert outcome.failure.retry_after == timedelta(seconds=1.5)
    assert len(pids_in(tmp_path)) == 3
    await until(lambda: not any(map(lives, pids_in(tmp_path))), "the end of all three processes")


async def test_the_time_a_process_takes_to_start_is_not_the_jobs() -> None:
    assert await run("echo_sync", 1, timeout_ms=150) == Completed(Json("1"))


async def test_what_a_job_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    assert await run("leaves_a_child", {"folder": str(tmp_path)}) == Completed(None)
    await until(lambda: not any(map(lives, pids_in(tmp_path))), "the end of the child left behind")


async def test_a_cancelled_wait_kills_the_process_and_all_that_it_started(tmp_path: Path) -> None:
    task = asyncio.create_task(run("hangs", {"folder": str(tmp_path)}))
    await until(lambda: len(pids_in(tmp_path)) == 3, "three processes")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not any(map(lives, pids_in(tmp_path))), "the end of all three processes")


async def test_an_init_systems_sigterm_is_not_the_jobs_crash(tmp_path: Path) -> None:
    task = asyncio.create_task(run("hangs", {"folder": str(tmp_path)}))
    await until(lambda: len(pids_in(tmp_path)) == 3, "three processes")
    worker_child = min(pids_in(tmp_path))
    os.kill(worker_child, signal.SIGTERM)
    os.kill(worker_child, signal.SIGINT)
    assert not (await asyncio.wait({task}, timeout=0.3))[0]
    task.cancel()
    await asyncio.wait({task})


async def test_a_job_does_not_wait_for_another_to_end(tmp_path: Path) -> None:
    isolation = Isolation(MODULES)
    first = asyncio.create_task(isolation(a_job("hangs", {"folder": str(tmp_path)}), FakeWork()))
    await until(lambda: len(pids_in(tmp_path)) == 3, "the first job's processes")
    assert await isolation(a_job("echo_sync", 2), FakeWork()) == Completed(Json("2"))
    assert not first.done()
    first.cancel()
    await asyncio.wait({first})


async def test_handlers_that_cannot_be_loaded_any_more_fail_the_job_and_are_no_crash() -> None:
    outcome = await Isolation(["tests.workers.nowhere"])(a_job("echo"), FakeWork())
    assert isinstance(outcome, Failed)
    assert "'tests.workers.nowhere' cannot be found" in outcome.failure.message


async def test_a_job_whose_process_cannot_be_started_is_given_back() -> None:
    assert await Isolation(MODULES, command=["/nowhere/python"])(a_job("echo"), FakeWork()) == Released()


@pytest.mark.parametrize("job_type", ["hangs", "hangs_in_c"])
async def test_the_process_dies_with_its_worker(tmp_path: Path, job_type: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio, sys; from tests.workers.test_isolation import run;"
        "asyncio.run(run(sys.argv[1], {'folder': sys.argv[2]}))",
        job_type,
        str(tmp_path),
        cwd=ROOT,
    )
    await until(lambda: len(pids_in(tmp_path)) == (3 if job_type == "hangs" else 1), "the job's processes")
    worker.kill()
    await worker.wait()
    await until(lambda: not any(map(lives, pids_in(tmp_path))), "the end of the job's processes")


async def test_a_job_in_a_process_of_its_own_takes_little_longer() -> None:
    started = time.monotonic()
    await run("echo", {})
    assert time.monotonic() - started < 5
