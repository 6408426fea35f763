"""What docs/events.md shows is run as it stands: its commands against a real API, its code on a database."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

from dataqueue import Queue
from dataqueue.domain.events import EventName
from dataqueue.domain.job import JobStatus
from dataqueue.storage.port import Storage
from tests.acceptance.services import Api
from tests.storage.given import given_job

PAGE: Final = (Path(__file__).parents[2] / "docs" / "events.md").read_text()


def block(language: str, label: str = "test") -> str:
    found = re.search(rf"^<!-- {label} -->\n```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def run_shell(text: str) -> str:
    done = subprocess.run(["bash", "-euc", text], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


async def test_the_commands_show_what_happened(storage_url: str, live_storage: Storage, tmp_path: Path) -> None:
    job = await given_job(live_storage, job_type="send_email", status=JobStatus.COMPLETED)
    with Api(storage_url, log=tmp_path / "api.log") as api:
        address = api.url.removeprefix("http://")

        def here(text: str) -> str:
            assert "127.0.0.1:8000" in text
            return text.replace("127.0.0.1:8000", address).replace("curl -s", "curl -s --max-time 2 --noproxy '*' -f")

        streamed = await asyncio.to_thread(run_shell, here(block("bash", "test: follows")))
        page = json.loads(await asyncio.to_thread(run_shell, here(block("bash"))))
    assert streamed.startswith(": connected\nid: 0\n\nevent: job:added\ndata: {")
    names = re.findall(r"^event: (.*)$", streamed, re.MULTILINE)
    assert names == ["job:added", "job:processing", "job:completed"]
    assert [event["event"] for event in page["data"]] == names
    assert {event["job_id"] for event in page["data"]} == {str(job.id)}
    assert page["next_cursor"] == page["data"][-1]["id"]


async def test_the_code_finds_the_first_failure(storage_url: str, live_storage: Storage) -> None:
    names: dict[str, Any] = {}
    exec(compile(block("python"), "docs/events.md", "exec"), names)
    async with Queue.open(storage_url) as queue:
        await queue.add_job("other", tags=["customer:42"])
    await given_job(live_storage, job_type="mail", tags=("customer:42",), status=JobStatus.FAILED)
    assert (await names["first_failure"](storage_url)).startswith("mail ")


def test_every_event_is_explained() -> None:
    table = PAGE.partition("| event | when |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`((?:job|step|token):[a-z_]+)`", table)) == {name.value for name in EventName}
