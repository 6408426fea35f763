"""The README is run: its commands against a real `dataqueue dev`, its code by a real interpreter."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dataqueue.settings import WorkerSettings

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()
DATAQUEUE: Final = Path(sys.executable).with_name("dataqueue")
ADDRESS: Final = "127.0.0.1:8000"
READY_WITHIN: Final = 60.0
STOPPED_WITHIN: Final = 30.0


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    tested: bool


def blocks() -> list[Block]:
    """The fenced blocks; one after `<!-- test -->` is one that a reader runs as it stands."""
    found = re.finditer(r"^(<!-- test -->\n)?```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [Block(language, text, tested=bool(mark)) for mark, language, text in (m.groups() for m in found)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**values: str) -> dict[str, str]:
    """The caller's environment without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DATAQUEUE_")}
    # The mark by which .ci/run knows what it started.
    kept.update({name: os.environ[name] for name in ("DATAQUEUE_CI_RUN",) if name in os.environ})
    return kept | values


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running `dataqueue dev` with data of its own; the address it answers on."""
    port, folder = free_port(), tmp_path_factory.mktemp("readme")
    log = folder / "dev.log"
    environment = clean_environment(DATAQUEUE_HOME=str(folder / "home"), DATAQUEUE_PORT=str(port), PYTHONUNBUFFERED="1")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [DATAQUEUE, "dev"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + READY_WITHIN
        while "ready" not in log.read_text():
            assert process.poll() is None, f"`dataqueue dev` ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"`dataqueue dev` is not ready:\n{log.read_text()}"
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOPPED_WITHIN)
        finally:
            # After a clean stop there is nothing left to kill.
            process.kill()


def run_shell(text: str, folder: Path) -> str:
    """What the commands print; they must all succeed, and an HTTP error is no success."""
    assert shutil.which("curl"), "the README's commands need curl"
    (folder / ".curlrc").write_text('fail\nshow-error\nmax-time = 30\nnoproxy = "*"\n')
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=clean_environment(CURL_HOME=str(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{text}\nexited {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_first_job_of_the_readme_is_done(service: str, tmp_path: Path) -> None:
    answers = []
    job_id = "<id>"
    for block in blocks():
        if block.tested and block.language == "bash":
            text = block.text.replace(ADDRESS, service).replace("<id>", job_id)
            assert "<id>" not in text, "the README reads a job before it has POSTed one"
            answers.append(json.loads(run_shell(text, tmp_path)))
            job_id = answers[0]["id"]
    posted, read, events, *_ = answers
    assert posted["created"] is True
    assert read["id"] == posted["id"]
    assert read["status"] == "completed"
    assert [event["event"] for event in events["data"]] == ["job:added", "job:processing", "job:completed"]


@pytest.mark.parametrize("block", [b for b in blocks() if b.tested and b.language == "python"])
def test_the_code_of_the_readme_runs(block: Block, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def commands() -> list[str]:
    """Each `dataqueue …` line of the README, without its comment."""
    lines = (line for block in blocks() if block.language == "bash" for line in block.text.splitlines())
    return [line.partition(" #")[0].strip() for line in lines if line.startswith("dataqueue ")]


@pytest.mark.parametrize("command", commands())
def test_every_option_the_readme_names_exists(command: str) -> None:
    words = shlex.split(command)[1:]
    verbs = [word for word in words if not word.startswith("-")][: 2 if words[0] == "keys" else 1]
    done = subprocess.run(
        [DATAQUEUE, *verbs, "--help"],
        env=clean_environment(COLUMNS="200", TERM="dumb", NO_COLOR="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    known = set(re.findall(r"--[a-z-]+", done.stdout))
    assert {word.partition("=")[0] for word in words if word.startswith("--")} - known == set()


def test_the_readme_lists_every_setting_and_no_other() -> None:
    settings = {
        str(field.validation_alias or f"DATAQUEUE_{name.upper()}")
        for name, field in WorkerSettings.model_fields.items()
    }
    listed = set(re.findall(r"^\| `(DATAQUEUE_\w+)`", README, re.MULTILINE))
    assert listed == settings


def test_the_make_targets_the_readme_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", "".join(block.text for block in blocks()))) <= targets
