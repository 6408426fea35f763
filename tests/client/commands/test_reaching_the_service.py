"""Where the commands call, as whom, and what they say when that does not work."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.processes import Process
from tests.acceptance.services import Api
from tests.client.commands.command import Command

NOWHERE: Final = "http://127.0.0.1:1"
COMMANDS: Final = [
    ("jobs", "list"),
    ("jobs", "add", "a"),
    ("jobs", "cancel", "x"),
    ("jobs", "retry", "--type", "a", "--yes"),
    ("jobs", "watch", "x"),
    ("tags",),
    ("stats",),
    ("workers",),
    ("workers", "drain", "w"),
]


@pytest.fixture(scope="module")
def locked(another_storage: Callable[[], str], place: Path) -> Iterator[tuple[Api, str]]:
    """A service that needs a key, and one that may enqueue only."""
    database = another_storage()
    making = Process("keys", "create", "--scopes", "enqueue", log=place / "key", settings={"url": database})
    assert making.exit_code() == 0
    key = making.said.splitlines()[0]
    with Api(database, log=place / "locked.log", open_access=False) as api:
        api.until_ready()
        yield api, key


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_service_that_is_not_there_is_one_sentence_with_the_fix(dataqueue: Command, command: tuple[str, ...]) -> None:
    done = dataqueue(*command, "--url", NOWHERE)
    assert done.code == 1
    assert done.sentence == (
        f"{NOWHERE} gave no answer: Connection refused."
        " Is `dataqueue dev` or `dataqueue serve` running there? --url names another address."
    )


def _hang_up(server: socket.socket) -> None:
    caller, _ = server.accept()
    caller.close()


def test_an_answer_that_is_lost_may_have_been_a_yes(dataqueue: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.listen()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        hanging_up = threading.Thread(target=_hang_up, args=(server,))
        hanging_up.start()
        done = dataqueue("jobs", "cancel", "x", "--url", url)
        hanging_up.join()
    assert done.code == 1
    assert "What was asked may have been done all the same." in done.sentence


def test_something_else_that_answers_is_not_taken_for_the_service(dataqueue: Command, api: Api) -> None:
    done = dataqueue("jobs", "list", "--url", f"{api.url}/elsewhere")
    assert done.code == 1
    assert done.sentence == "There is no such path. /docs lists those there are."


def test_an_option_goes_before_the_variable(
    dataqueue: Command, api: Api, job_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAQUEUE_API_URL", NOWHERE)
    assert dataqueue("jobs", "add", job_type, "--url", api.url).code == 0


@pytest.mark.parametrize(
    ("url", "saying"),
    [
        ("queue.example.com", "must look like http://127.0.0.1:8000"),
        ("http://me:secret@queue", "holds no password"),
        ("http://queue:port", "cannot be read"),
    ],
)
def test_an_address_that_is_none_is_a_usage_error(dataqueue: Command, url: str, saying: str) -> None:
    done = dataqueue("stats", "--url", url)
    assert done.code == 2
    assert saying in done.sentence
    assert "secret" not in done.err


def test_the_key_comes_from_the_environment_a_file_or_stdin(
    dataqueue: Command, locked: tuple[Api, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, key = locked
    (tmp_path / "key").write_text(f"{key}\n")
    add = ("jobs", "add", "a", "--url", api.url)
    assert dataqueue(*add, "--key-file", str(tmp_path / "key")).code == 0
    assert dataqueue(*add, "--key-file", "-", stdin=f"{key}\n".encode()).code == 0
    monkeypatch.setenv("DATAQUEUE_API_KEY", key)
    assert dataqueue(*add).code == 0
    (tmp_path / "other").write_text("dq_other")
    assert dataqueue(*add, "--key-file", str(tmp_path / "other")).code == 1


def test_no_key_and_too_weak_a_key_are_told_with_the_fix(
    dataqueue: Command, locked: tuple[Api, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, key = locked
    done = dataqueue("stats", "--url", api.url)
    assert (done.code, "Set DATAQUEUE_API_KEY, or name a file with --key-file." in done.sentence) == (1, True)
    monkeypatch.setenv("DATAQUEUE_API_KEY", key)
    done = dataqueue("stats", "--url", api.url)
    assert done.code == 1
    assert done.sentence.startswith("this key has none of the scopes that allow this: read. `dataqueue keys create")
    assert key not in done.err


def test_a_job_that_cannot_be_waited_for_is_named_all_the_same(
    dataqueue: Command, locked: tuple[Api, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, key = locked
    monkeypatch.setenv("DATAQUEUE_API_KEY", key)
    done = dataqueue("jobs", "add", "a", "--wait", "30s", "--url", api.url)
    told, why = done.err.splitlines()
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"dataqueue: job [0-9a-f-]{36} is enqueued, and may be watched later", told)
    assert "none of the scopes that allow this: read" in why


def test_a_key_that_cannot_be_one_is_a_usage_error_and_not_repeated(
    dataqueue: Command, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAQUEUE_API_KEY", "dq_hunter 2")
    done = dataqueue("stats")
    assert (done.code, done.sentence) == (2, "the API key holds characters that no key has")
    done = dataqueue("stats", "--key-file", "/nowhere")
    assert (done.code, done.sentence) == (2, "--key-file /nowhere: No such file or directory")


def test_there_is_no_option_for_the_key_itself(dataqueue: Command) -> None:
    """It would be in the list of processes, and in the shell's history."""
    for command in COMMANDS:
        shown = dataqueue(*command[:2], "--help").out
        assert " --key-file" in shown
        assert "--api-key" not in shown
