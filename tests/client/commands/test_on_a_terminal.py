"""What a person sees: tables, colours, bars and questions; and what no terminal may be told."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.acceptance.services import Api
from tests.client.commands.command import Terminal


def test_a_list_is_a_table_that_shows_ids_whole(api: Api, job_type: str) -> None:
    job_id = api.enqueue(job_type, tags=["a" * 200, "b"], delay="1h")
    for columns in (160, 80):
        listing = Terminal("jobs", "list", "--type", job_type, url=api.url, columns=columns)
        assert listing.code() == 0
        header, row = listing.seen.splitlines()
        assert header.split()[0] == "ID"
        assert row.startswith(job_id)
        assert len(row) <= columns
    wide = Terminal("jobs", "list", "--type", job_type, url=api.url, columns=400)
    assert wide.code() == 0
    assert wide.seen.splitlines()[0].split() == ["ID", "TYPE", "STATUS", "ATTEMPTS", "RUN", "AT", "TAGS"]
    assert "pending (scheduled)  0/3" in wide.seen
    assert wide.seen.splitlines()[1].rstrip().endswith(f"{'a' * 200}, b")


def test_more_than_is_shown_is_said(api: Api, job_type: str) -> None:
    api.enqueue_all([{"job_type": job_type}] * 3)
    listing = Terminal("jobs", "list", "--type", job_type, "-n", "2", url=api.url)
    assert listing.code() == 0
    assert listing.seen.splitlines()[3:] == ["There are more: --limit 20, or --all."]
    listing = Terminal("jobs", "list", "--type", job_type, "-n", "3", url=api.url)
    assert listing.code() == 0
    assert len(listing.seen.splitlines()) == 4


def test_nothing_found_is_said(api: Api, job_type: str) -> None:
    listing = Terminal("jobs", "list", "--type", job_type, url=api.url)
    assert listing.code() == 0
    assert listing.seen == "No job matches.\n"


def test_what_others_wrote_moves_nobodys_cursor(api: Api, job_type: str) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e"
    job_id = api.enqueue(job_type, {"text": evil, "markup": "[red]x[/red]"}, tags=[evil, "[bold]b[/bold]"])
    for command in (("list", "--type", job_type), ("get", job_id), ("list", "--type", job_type, "--json")):
        shown = Terminal("jobs", *command, url=api.url, columns=500)
        assert shown.code() == 0
        for sign in ("\x1b]", "\x07", "\x1b[2J", "\u009b", "\u202e"):
            assert sign not in shown.raw
        assert "[bold]b[/bold]" in shown.seen


def test_a_job_is_shown_without_what_is_empty(api: Api, job_type: str) -> None:
    shown = Terminal("jobs", "get", api.enqueue(job_type), url=api.url)
    assert shown.code() == 0
    names = [line.split()[0] for line in shown.seen.splitlines()]
    assert {"id", "job_type", "status", "attempts"} <= set(names)
    assert {"output", "error_history", "tags", "group"}.isdisjoint(names)


def test_a_filter_is_let_loose_by_a_yes_alone(api: Api, job_type: str) -> None:
    ids = api.enqueue_all([{"job_type": job_type}] * 2)
    asking = Terminal("jobs", "cancel", "--type", job_type, url=api.url)
    asking.until("Cancel 2 jobs? [y/N]:")
    asking.types("n\n")
    assert asking.code() == 1
    assert "nothing was changed" in asking.seen
    assert [api.job(job_id)["status"] for job_id in ids] == ["pending"] * 2
    asking = Terminal("jobs", "cancel", "--type", job_type, url=api.url)
    asking.until("Cancel 2 jobs? [y/N]:")
    asking.types("y\n")
    assert asking.code() == 0
    assert "2 matched, 2 changed" in asking.seen
    assert [api.job(job_id)["status"] for job_id in ids] == ["cancelled"] * 2


def test_ctrl_c_at_the_question_changes_nothing(api: Api, job_type: str) -> None:
    job_id = api.enqueue(job_type)
    asking = Terminal("jobs", "cancel", "--type", job_type, url=api.url)
    asking.until("Cancel 1 job? [y/N]:")
    assert asking.interrupts() == 1
    assert asking.seen.splitlines()[-1] == "dataqueue: nothing was changed"
    assert api.job(job_id)["status"] == "pending"


def test_an_import_shows_how_far_it_is_and_what_was_rejected(api: Api, job_type: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.ndjson"
    file.write_text(f"{json.dumps({'job_type': job_type})}\n" * 2000 + "nonsense\n")
    importing = Terminal("jobs", "import", str(file), url=api.url)
    assert importing.code() == 1
    assert "importing" in importing.seen
    assert "━" in importing.seen
    assert "2001" in importing.seen
    assert "invalid_json" in importing.seen
    assert "2001 lines: 2000 created, 0 existing, 1 rejected" in importing.seen


def test_a_bar_never_gets_into_what_goes_elsewhere(api: Api, job_type: str, tmp_path: Path) -> None:
    file, out = tmp_path / "jobs.ndjson", tmp_path / "out"
    file.write_text(f"{json.dumps({'job_type': job_type})}\nnonsense\n")
    with out.open("wb") as stdout:
        importing = Terminal("jobs", "import", str(file), "--json", url=api.url, stdout=stdout.fileno())
        assert importing.code() == 1
    assert "importing" in importing.seen
    assert [json.loads(line).get("line") for line in out.read_text().splitlines()] == [1, 2, None]


def test_figures_are_a_table(api: Api, job_type: str) -> None:
    api.enqueue(job_type)
    shown = Terminal("stats", url=api.url)
    assert shown.code() == 0
    assert shown.seen.splitlines()[0].split() == [
        "TYPE", "PENDING", "PROCESSING", "WAITING", "COMPLETED", "FAILED", "CANCELLED",
    ]  # fmt: skip
    assert f"{job_type:<}" in shown.seen
    assert "oldest ready  for " in shown.seen
    assert " added, " in shown.seen


def test_a_reader_that_leaves_ends_a_list_without_a_word(api: Api, job_type: str) -> None:
    api.enqueue_all([{"job_type": job_type, "payload": "x" * 1000}] * 300)
    ours, theirs = os.pipe()
    listing = Terminal("jobs", "list", "--type", job_type, "--all", "--json", url=api.url, stdout=theirs)
    os.close(theirs)
    os.read(ours, 100)
    os.close(ours)
    assert listing.code() == 1
    assert listing.seen == ""
