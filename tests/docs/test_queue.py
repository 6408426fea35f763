"""The Python of docs/queue.md is run as it stands, with as much of Flask and Django as it asks for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from dataqueue.storage.port import Storage
from tests.storage.given import NAMESPACE

PAGE: Final = (Path(__file__).parents[2] / "docs" / "queue.md").read_text()


def blocks(label: str = "test") -> list[str]:
    return re.findall(rf"^<!-- {label} -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(block: str, names: dict[str, Any]) -> None:
    exec(compile(block, "docs/queue.md", "exec"), names)


async def test_every_block_does_what_the_page_says(storage_url: str) -> None:
    names: dict[str, Any] = {}
    assert len(blocks()) == 4
    for block in blocks():
        run(block, names)
    assert await names["main"](storage_url) == ["pending", "pending", "cancelled"]
    assert await names["serverless"](storage_url) == 2
    async with names["Queue"](storage_url) as queue:
        await names["beside_a_web_app"](queue)
        names["listen"](queue)
        assert {event for event, _, _ in queue._listeners.registered()} == {"job:failed", "queue:error"}
        await queue.add_job("send_welcome", {"to": "ada"})
        assert await asyncio.to_thread(names["handle"], storage_url) == 1


class Flask:
    """As much as the page needs."""

    def __init__(self, _: str) -> None:
        self.views: dict[str, Callable[[], Any]] = {}

    def post(self, path: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        def register(view: Callable[[], Any]) -> Callable[[], Any]:
            self.views[path] = view
            return view

        return register


async def test_a_view_of_flask_adds_a_job(live_storage: Storage, given_module: Callable[..., None]) -> None:
    request = SimpleNamespace(get_json=lambda: {"email": "ada@example.com"})
    given_module("flask", Flask=Flask, request=request)
    names: dict[str, Any] = {"__name__": "page"}
    run(blocks("test: flask")[0], names)
    answer = await asyncio.to_thread(names["app"].views["/signup"])
    await asyncio.to_thread(names["queue"].close)
    assert str((await live_storage.jobs(NAMESPACE).get(UUID(answer["job"]))).id) == answer["job"]
