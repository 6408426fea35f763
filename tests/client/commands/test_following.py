"""`dataqueue events`."""

from __future__ import annotations

import json
import signal

import pytest

from tests.acceptance.services import Api
from tests.client.commands.command import Command, Terminal, started


def test_what_happens_is_told_when_it_happens_until_it_is_interrupted(api: Api, job_type: str) -> None:
    job_id = api.enqueue(job_type, tags=["a"])
    following = started("events", "--type", job_type, "--after", "start", url=api.url)
    assert following.stdout is not None
    added = following.stdout.readline().decode().rstrip("\n").split("\t")
    assert added[1:] == ["job:added", job_type, job_id, "{}"]
    api.http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
    assert following.stdout.readline().split(b"\t")[1] == b"job:cancelled"
    following.send_signal(signal.SIGINT)
    assert following.wait(30) == 130


def test_it_is_narrowed_and_as_json_it_is_what_the_api_says(api: Api, job_type: str) -> None:
    jobs = [api.enqueue(job_type, tags=tags) for tags in (["a"], ["b"], ["a", "b"])]
    options = ("--tag", "a", "--tag", "b", "--tag-mode", "exact", "--event", "job:added", "--type", job_type)
    following = started("events", "--json", "--after", "start", *options, url=api.url)
    assert following.stdout is not None
    assert json.loads(following.stdout.readline()) == api.http.get(f"/v1/jobs/{jobs[2]}/events").json()["data"][0]
    following.kill()


def test_a_token_that_belongs_to_no_job_is_told_without_one(dataqueue: Command, api: Api, job_type: str) -> None:
    [token] = dataqueue("tokens", "create", "--tag", job_type, "--json").json
    options = ("--tag", job_type, "--after", "start")
    following = started("events", *options, url=api.url)
    assert following.stdout is not None
    told = following.stdout.readline().decode().rstrip("\n").split("\t")
    assert (told[1:4], json.loads(told[4])["token_id"]) == (["token:created", "", ""], token["id"])
    following.kill()
    terminal = Terminal("events", *options, url=api.url)
    terminal.until(f"token:created     token_id={token['id']}")
    terminal.types("\x03")
    assert terminal.code() == 130


def test_on_a_terminal_a_line_is_for_people(api: Api, job_type: str) -> None:
    job_id = api.enqueue(job_type)
    terminal = Terminal("events", "--job", job_id, "--after", "start", url=api.url)
    terminal.until(f"job:added         {job_type}  {job_id}")
    terminal.types("\x03")
    assert terminal.code() == 130


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--tag-mode", "any"), 2, "--tag-mode says how several --tag count: give a --tag"),
        (("--after", "then"), 1, "query.after: must be the id of an event, now or start"),
        (("--event", "job:gone"), 1, "query.event.0: must be the name of an event, like job:completed"),
        (("--after", "9" * 18), 1, "the log does not reach that far: begin with after=start or after=now"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    dataqueue: Command, options: tuple[str, ...], code: int, sentence: str
) -> None:
    done = dataqueue("events", *options)
    assert (done.code, done.sentence) == (code, sentence)
