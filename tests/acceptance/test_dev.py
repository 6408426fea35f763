"""`dataqueue dev` as a newcomer meets it: real processes, a real database, the lines it prints."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from dataqueue.storage.backend import Backend
from tests.embedded.support import processes_in

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "workers", "dev"]
WAITING = "tests.acceptance.waiting_handlers"
PAYLOADS: dict[str, Any] = json.loads((ROOT / "examples" / "payloads.json").read_text())


class Dev:
    """A running `dataqueue dev` and what it has said."""

    def __init__(self, home: Path, port: int, *, imports: str, started: float) -> None:
        self.home, self.url, self.started = home, f"http://127.0.0.1:{port}", started
        self._said = home.with_suffix(".out")
        with self._said.open("w") as out:
            self.process = subprocess.Popen(
                COMMAND,
                cwd=ROOT,
                env=environment(home, port, imports),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.family: set[psutil.Process] = set()

    @property
    def said(self) -> str:
        return self._said.read_text()

    def until_ready(self) -> float:
        """Wait for the line that says so; the seconds it took."""
        until(lambda: re.search(r"^.*\bready\b.*$", self.said, re.M) or self.process.poll() is not None, "ready", self)
        assert self.process.poll() is None, self.said
        self.family = {self._itself, *self._itself.children(recursive=True), *servers_of(self.home)}
        return time.monotonic() - self.started

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal the whole group, as a terminal does; the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(timeout=30)

    def leftovers(self) -> list[psutil.Process]:
        return [one for one in self.family | servers_of(self.home) if is_alive(one)]

    @property
    def _itself(self) -> psutil.Process:
        return psutil.Process(self.process.pid)


def environment(home: Path, port: int, imports: str = "") -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DATAQUEUE_")}
    given = {"HOME": str(home), "BACKEND": home.name, "PORT": str(port), "IMPORT": imports, "DRAIN_SECONDS": "10"}
    return ours | {f"DATAQUEUE_{name}": value for name, value in given.items()}


def until(condition: Callable[[], object], what: str, dev: Dev | None = None, *, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"after {within:g} s still not: {what}\n{dev.said if dev else ''}"
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def servers_of(home: Path) -> set[psutil.Process]:
    """The processes of the embedded server of a home."""
    return set(processes_in(home.resolve()))


def refused(home: Path, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """What it says when it does not start."""
    command = [*COMMAND, *options]
    env = environment(home, port)
    return subprocess.run(command, check=False, env=env, cwd=ROOT, capture_output=True, text=True, timeout=30)


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def home(backend: Backend) -> Iterator[Path]:
    """A folder that is named by the backend whose data it is for."""
    # Not below pytest's own folder: under root PostgreSQL runs as another account, which has to pass through, and
    # any other pytest that starts meanwhile closes that folder again.
    folder = Path(tempfile.mkdtemp(prefix="dqdev-"))
    folder.chmod(0o755)
    yield folder / backend
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(home: Path, *, imports: str = "") -> Iterator[Dev]:
    dev = Dev(home, a_free_port(), imports=imports, started=time.monotonic())
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.stop(signal.SIGKILL)
        until(lambda: not dev.leftovers(), "the end of every process", dev, within=60)


def completed(url: str, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = (
        httpx.get(f"{url}/v1/jobs/{job_id}", params={"wait": "20s"}, timeout=30).raise_for_status().json()
    )
    assert job["status"] == "completed", job
    return job


def test_every_example_completes_and_a_restart_keeps_them(home: Path) -> None:
    with running(home) as dev:
        assert dev.until_ready() < 10
        ids = {
            job_type: httpx.post(f"{dev.url}/v1/jobs", json={"job_type": job_type, "payload": payload}).json()["id"]
            for job_type, payload in PAYLOADS.items()
        }
        jobs = {job_type: completed(dev.url, job_id) for job_type, job_id in ids.items()}
        assert "It works." in Path(jobs["send_email"]["output"]["file"]).read_text()
        with Image.open(jobs["make_thumbnail"]["output"]["file"]) as small:
            assert max(small.size) == 128
        assert jobs["flaky_call"]["attempts"] == 3
        assert jobs["count_primes"]["output"]["primes"] == 17_984
        assert dev.stop() == 0, dev.said
        assert not dev.leftovers()
    with running(home) as again:
        assert again.until_ready() < 10
        for job_type, job_id in ids.items():
            assert completed(again.url, job_id)["output"] == jobs[job_type]["output"]
        assert again.stop(signal.SIGTERM) == 0, again.said
        assert not again.leftovers()


def test_the_lines_it_prints_work_when_pasted(home: Path) -> None:
    with running(home) as dev:
        dev.until_ready()
        lines = re.findall(r"^  (curl .*)$", dev.said, re.M)
        assert len(lines) == len(PAYLOADS) + 1
        answers = [json.loads(subprocess.check_output(["sh", "-c", line], text=True)) for line in lines]
        for answer in answers[:-1]:
            assert completed(dev.url, answer["id"])
        assert answers[-1]["status"] == "completed"
        assert httpx.get(f"{dev.url}/docs").status_code == 200


def test_a_running_job_may_finish_after_ctrl_c(home: Path, tmp_path: Path) -> None:
    with running(home, imports=WAITING) as dev:
        dev.until_ready()
        url, go_on = given_waiting_job(dev, tmp_path), tmp_path / "go-on"
        os.killpg(dev.process.pid, signal.SIGINT)
        until(lambda: "Stopping." in dev.said, "the news of the stop", dev)
        go_on.touch()
        assert dev.process.wait(timeout=30) == 0
    with running(home, imports=WAITING) as again:
        again.until_ready()
        assert completed(again.url, url.rpartition("/")[2])["attempts"] == 1


def test_whoever_waits_for_a_job_is_answered_when_it_ends(home: Path) -> None:
    with running(home) as dev, ThreadPoolExecutor(1) as threads:
        dev.until_ready()
        job_id = httpx.post(f"{dev.url}/v1/jobs", json={"job_type": "nobody_serves_this"}).json()["id"]
        waiting = threads.submit(httpx.get, f"{dev.url}/v1/jobs/{job_id}", params={"wait": "60s"}, timeout=90)
        until(lambda: connections_to(dev.url), "an open request", dev)
        stopped = time.monotonic()
        assert dev.stop() == 0
        assert waiting.result().json()["status"] == "pending"
        assert time.monotonic() - stopped < 8, "it did not wait for the 10 s of grace"


def connections_to(url: str) -> list[Any]:
    port = int(url.rpartition(":")[2])
    return [
        one
        for one in psutil.net_connections("tcp4")
        if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED"
    ]


def test_a_second_ctrl_c_gives_running_jobs_back(home: Path, tmp_path: Path) -> None:
    with running(home, imports=WAITING) as dev:
        dev.until_ready()
        url = given_waiting_job(dev, tmp_path)
        os.killpg(dev.process.pid, signal.SIGINT)
        until(lambda: "worker.stopping" in dev.said, "a worker that drains", dev)
        # The same signal twice at once is one; this one comes later than that.
        again_at = time.monotonic() + 0.6
        until(lambda: time.monotonic() > again_at, "a moment later")
        assert dev.stop() == 0
    with running(home, imports=WAITING) as again:
        again.until_ready()
        (tmp_path / "go-on").touch()
        job = completed(again.url, url.rpartition("/")[2])
        assert (job["attempts"], job["crashes"]) == (1, 0)


def given_waiting_job(dev: Dev, folder: Path) -> str:
    """The URL of a job that runs until `go-on` is there."""
    job = {"job_type": "wait_for_file", "payload": {"file": str(folder / "go-on")}}
    url = f"{dev.url}/v1/jobs/{httpx.post(f'{dev.url}/v1/jobs', json=job).json()['id']}"
    until(lambda: httpx.get(url).json()["status"] == "processing", "a running job", dev)
    return url


def test_it_leaves_no_process_when_it_is_killed(home: Path) -> None:
    with running(home) as dev:
        dev.until_ready()
        assert len(dev.family) >= 4, "itself, API, worker and the server"
        dev.process.kill()
        dev.process.wait()
        until(lambda: not dev.leftovers(), "the end of every process", dev)


def test_a_worker_that_is_killed_is_back_at_once(home: Path) -> None:
    with running(home) as dev:
        dev.until_ready()
        worker = next(one for one in dev.family if "workers.process" in one.cmdline())
        worker.kill()
        posted = httpx.post(f"{dev.url}/v1/jobs", json={"job_type": "send_email", "payload": PAYLOADS["send_email"]})
        completed(dev.url, posted.json()["id"])
        assert dev.stop() == 0


def test_a_taken_port_is_one_sentence_with_the_fix(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        done = refused(home, port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"dataqueue: port {port} on 127.0.0.1 is taken; choose another: DATAQUEUE_PORT={port + 1},"
        f" or PORT={port + 1} make dev\n"
    )
    assert not home.exists()


def test_other_machines_are_not_served(home: Path) -> None:
    done = refused(home, 0, "--host", "0.0.0.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "serves this machine alone, not 0.0.0.0" in done.stderr
    assert done.stderr.count("\n") == 1
