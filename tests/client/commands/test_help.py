"""`--help` of the commands that speak HTTP: it answers at once, and says what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Final, get_args

import pytest

from dataqueue.domain.filters import TagMode
from dataqueue.domain.job import JobStatus
from dataqueue.domain.tokens import TokenStatus
from tests.client.commands.command import ROOT, Command
from workers import cli_filters, cli_stats, cli_tokens, cli_waiting

COMMANDS: Final = [
    ("jobs",),
    *(("jobs", name) for name in ("list", "get", "add", "watch", "cancel", "retry", "import")),
    ("tokens",),
    *(("tokens", name) for name in ("create", "get", "list", "complete")),
    ("events",),
    ("tags",),
    ("stats",),
    ("workers",),
    ("workers", "drain"),
]
SCRIPT: Final = """
import sys
import workers.cli
try:
    workers.cli.app(["jobs", "list", "--help"])
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_a_help(dataqueue: Command, command: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        done = dataqueue(*command, option)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Usage: dataqueue {' '.join(command)} ")
        if command not in {("jobs",), ("tokens",)}:
            assert "Example" in done.out
            assert "--json" in done.out
            assert "--key-file" in done.out
            assert "DATAQUEUE_API_URL" in done.out


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert "workers.cli_jobs" in imported
    assert {"httpx", "rich", "sqlalchemy", "fastapi", "pydantic_settings", "dataqueue"}.isdisjoint(imported)


def test_the_page_about_the_command_line_names_every_command_and_no_option_that_is_not_there(
    dataqueue: Command,
) -> None:
    page = (ROOT / "docs/cli.md").read_text()
    for command in COMMANDS:
        if command in {("jobs",), ("tokens",)}:
            continue
        assert f"$ dataqueue {' '.join(command)} " in page or f"$ dataqueue {' '.join(command)}\n" in page
    asked = re.findall(r"^\$ dataqueue ((?:jobs |tokens |workers )?\w+)(.*)$", page, re.MULTILINE)
    assert len(asked) > 15
    for words, rest in asked:
        shown = dataqueue(*words.split(), "--help").out
        assert set(re.findall(r"--[a-z-]+", rest)) <= set(re.findall(r"--[a-z-]+", shown)), words
    every_option = set(re.findall(r"--[a-z-]+", "".join(dataqueue(*command, "--help").out for command in COMMANDS)))
    assert set(re.findall(r"--[a-z][a-z-]+", page)) - every_option == set()


def test_the_words_of_the_options_are_those_of_the_domain() -> None:
    statuses = [status.value for status in JobStatus]
    assert [status.value for status in cli_filters.Status] == statuses
    assert [status.value for status in cli_tokens.Status] == [status.value for status in TokenStatus]
    assert set(get_args(cli_filters.TagMode)) == {mode.value for mode in TagMode}
    assert [column.title for column in cli_stats.COUNTS] == [status.upper() for status in statuses]
    assert {status for status in JobStatus if status.is_terminal} == cli_waiting.ENDED
