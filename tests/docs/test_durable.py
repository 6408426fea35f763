"""The Python of docs/durable.md is run as it stands, and so is the example that the README sends its reader to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from dataqueue import handlers
from dataqueue.domain.steps import LARGEST_LOG, LARGEST_STEP, MOST_STEPS
from dataqueue.processing.executor import GRACE
from dataqueue.testing import prepare_handler, run_handler
from examples.onboarding import onboard

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "durable.md").read_text()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Everything that the page defines. Its handlers are registered for as long as a test runs."""
    registry = handlers.HandlerRegistry()
    monkeypatch.setattr("dataqueue.handler", registry.handler)
    found: dict[str, Any] = {"__name__": "page"}
    blocks = re.findall(r"^<!-- test: \w+ -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, "docs/durable.md", "exec", dont_inherit=True), found)
    assert registry.job_types == ("trial",)
    return found


async def test_its_tests_pass(names: dict[str, Any]) -> None:
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 4
    for name in tests:
        await names[name]()


async def test_reminders_go_out_side_by_side(names: dict[str, Any]) -> None:
    run = await run_handler(names["remind_all"], ["ann", "bob"])
    assert list(run.steps) == ["first ann", "first bob"]
    assert [wait.name for wait in run.waiting_for] == ["pause ann", "pause bob"]
    await run.skip_wait()
    assert run.output == ["dear ann, again", "dear bob, again"]
    assert set(run.calls.values()) == {1}


@pytest.mark.parametrize("nudged", [False, True])
async def test_whoever_does_not_answer_is_nudged(names: dict[str, Any], nudged: bool) -> None:
    run = await run_handler(names["confirm"])
    assert {wait.name for wait in run.waiting_for} == {"answer", "nudge"}
    if nudged:
        await run.skip_wait()
        assert [wait.name for wait in run.waiting_for] == ["answer"]
    await run.complete_token("yes")
    assert (run.status, run.output, run.calls) == ("completed", "yes", {"nudge them": 1} if nudged else {})


async def test_files_are_converted_with_more_time(names: dict[str, Any]) -> None:
    run = await run_handler(names["convert"], ["a", "b"], timeout_ms=1000)
    assert (run.status, run.progress) == ("completed", [50, 100])
    assert [note.prolonged_ms for note in run.notes if note.prolonged_ms] == [60_000, 60_000]


def test_the_figures_are_those_of_the_code() -> None:
    assert f"{MOST_STEPS:,} steps" in PAGE
    assert f"{LARGEST_STEP >> 10} KiB of JSON a result, {LARGEST_LOG >> 20} MiB all" in PAGE
    assert GRACE == 5
    assert "five seconds to clean up" in PAGE


def mails(home: Path) -> list[list[str]]:
    """The lines of each, the first sent first."""
    files = sorted(home.glob("outbox/*.eml"), key=lambda file: file.stat().st_mtime_ns)
    return [file.read_text().splitlines() for file in files]


@pytest.mark.parametrize(("answer", "state"), [({"approved": "yes"}, "open"), ({}, "refused")])
async def test_the_example_opens_an_account_that_was_approved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: object, state: str
) -> None:
    monkeypatch.setenv("DATAQUEUE_HOME", str(tmp_path))
    run = await run_handler(onboard, {"email": "ada@example.org"})
    await run.skip_wait()
    assert run.output["state"] == "to be approved"
    assert f"curl -d approved=yes '{run.output['approve_url']}'" in mails(tmp_path)[1]
    await run.complete_token(answer)
    assert (run.status, run.output["state"]) == ("completed", state)
    assert len(mails(tmp_path)) == (3 if state == "open" else 2)


async def test_the_example_ends_though_nobody_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATAQUEUE_HOME", str(tmp_path))
    run = prepare_handler(onboard, {"email": "ada@example.org", "approve_within": "5s"})
    run.crash_at("welcome")
    await run.start()
    await run.resume()
    await run.skip_wait()
    await run.expire_token()
    assert (run.status, run.output["state"]) == ("completed", "nobody has approved it in time")
    assert len(mails(tmp_path)) == 2
