"""`dataqueue tokens`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client.commands.command import Command
from tests.client.stub import JOB_ID


def made(dataqueue: Command, *options: str) -> dict[str, Any]:
    [token] = dataqueue("tokens", "create", *options, "--json").json
    found: dict[str, Any] = token
    return found


def test_a_token_is_made_and_completed_by_its_url(dataqueue: Command) -> None:
    token = made(dataqueue, "--timeout", "48h", "--tag", "a", "-t", "b/c")
    assert (token["status"], token["tags"]) == ("waiting", ["a", "b/c"])
    assert token["callback_url"].startswith(f"{dataqueue.url}/v1/tokens/{token['id']}/callback?")
    assert httpx.post(token["callback_url"], json={"by": "grace"}).status_code == 200
    [seen] = dataqueue("tokens", "get", token["id"], "--json").json
    assert (seen["status"], seen["output"]) == ("completed", {"by": "grace"})
    assert "callback_url" not in seen


def test_for_programs_each_field_has_a_line(dataqueue: Command) -> None:
    done = dataqueue("tokens", "create")
    assert done.code == 0
    fields = dict(done.rows)
    assert (fields["status"], fields["tags"], fields["timeout_at"]) == ("waiting", "[]", "")
    assert "/callback?" in fields["callback_url"]


def test_a_token_is_completed_with_json_a_file_or_stdin(dataqueue: Command, tmp_path: Path) -> None:
    text = '{"n": 12345678901234567890123}'
    (tmp_path / "output.json").write_text(text)
    for output, stdin in ((text, ""), (f"@{tmp_path / 'output.json'}", ""), ("-", text)):
        token = made(dataqueue)
        [done] = dataqueue("tokens", "complete", token["id"], output, "--json", stdin=stdin.encode()).json
        assert (done["status"], done["output"]) == ("completed", {"n": 12345678901234567890123})
    token = made(dataqueue)
    assert dict(dataqueue("tokens", "complete", token["id"]).rows)["output"] == ""
    assert dataqueue("tokens", "complete", token["id"], "null").code == 0
    done_before = dataqueue("tokens", "complete", token["id"], "1")
    assert done_before.code == 1
    assert done_before.sentence.startswith("the token was completed before")


def test_tokens_are_listed_newest_first(dataqueue: Command) -> None:
    first, second = [made(dataqueue, "--tag", "of-this-test")["id"] for _ in range(2)]
    dataqueue("tokens", "complete", first)
    some = ("tokens", "list", "--tag", "of-this-test")
    rows = dataqueue(*some).rows
    assert [row[:2] for row in rows] == [[second, "waiting"], [first, "completed"]]
    assert [row[6] for row in rows] == ['["of-this-test"]'] * 2
    assert [row[0] for row in dataqueue(*some, "--status", "completed", "-s", "timed_out").rows] == [first]
    assert [row[0] for row in dataqueue(*some, "--limit", "1").rows] == [second]
    assert len(dataqueue(*some, "--all", "--json").json) == 2
    assert dataqueue(*some, "--job", JOB_ID).out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "saying"),
    [
        (("get", JOB_ID), 1, f"no token {JOB_ID}"),
        (("get", "nonsense"), 1, "path.token_id: must be a UUID"),
        (("create", "--timeout", "soon"), 2, "--timeout: "),
        (("complete", JOB_ID, "{bad"), 2, "OUTPUT must be JSON: "),
        (("complete", JOB_ID, "@/nowhere"), 2, "OUTPUT: cannot read /nowhere"),
        (("list", "--tag-mode", "any"), 2, "--tag-mode says how"),
        (("list", "--all", "--limit", "3"), 2, "--all and --limit contradict each other"),
    ],
)
def test_what_is_wrong_is_said(dataqueue: Command, arguments: tuple[str, ...], code: int, saying: str) -> None:
    done = dataqueue("tokens", *arguments)
    assert done.code == code
    assert done.sentence.startswith(saying)
