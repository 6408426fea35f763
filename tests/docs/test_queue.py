"""The Python of docs/queue.md is run as it stands, with as much of Flask and Django as it asks for."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import psycopg
import pytest

from tests.storage.callers import conninfo_url
from tests.storage.raw import connected

PAGE: Final = (Path(__file__).parents[2] / "docs" / "queue.md").read_text()


def blocks(label: str = "test") -> list[str]:
    return re.findall(rf"^<!-- {label} -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(block: str, names: dict[str, Any]) -> None:
    exec(compile(block, "docs/queue.md", "exec"), names)


async def test_every_block_does_what_the_page_says(database_url: str) -> None:
    names: dict[str, Any] = {}
    assert len(blocks()) == 4
    for block in blocks():
        run(block, names)
    assert await names["main"](database_url) == ["pending", "pending", "cancelled"]
    assert await names["serverless"](database_url) == 2
    async with names["Queue"](database_url) as queue:
        await names["beside_a_web_app"](queue)
        names["listen"](queue)
        assert {event for event, _, _ in queue._listeners.registered()} == {"job:failed", "queue:error"}
        await queue.add_job("send_welcome", {"to": "ada"})
        assert await asyncio.to_thread(names["handle"], database_url) == 1


class Flask:
    """As much as the page needs."""

    def __init__(self, _: str) -> None:
        self.views: dict[str, Callable[[], Any]] = {}

    def post(self, path: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        def register(view: Callable[[], Any]) -> Callable[[], Any]:
            self.views[path] = view
            return view

        return register


@pytest.fixture
def given_module(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Callable[..., None]:
    monkeypatch.setenv("DATAQUEUE_URL", database_url)

    def give(name: str, **contents: Any) -> None:
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)

    return give


async def test_a_view_of_flask_adds_a_job(database_url: str, given_module: Callable[..., None]) -> None:
    request = SimpleNamespace(get_json=lambda: {"email": "ada@example.com"})
    given_module("flask", Flask=Flask, request=request)
    names: dict[str, Any] = {"__name__": "page"}
    run(blocks("test: flask")[0], names)
    answer = await asyncio.to_thread(names["app"].views["/signup"])
    await asyncio.to_thread(names["queue"].close)
    async with connected(database_url) as connection:
        assert await connection.fetchval("select id::text from dataqueue.job") == answer["job"]


async def test_a_view_of_django_keeps_its_row_and_its_job_or_neither(
    database_url: str, given_module: Callable[..., None]
) -> None:
    async with connected(database_url) as connection:
        await connection.execute("create table account (email text primary key)")
    with psycopg.connect(conninfo_url(database_url), autocommit=True) as ours:

        @contextmanager
        def atomic() -> Iterator[None]:
            with ours.transaction():
                yield

        given_module("django")
        given_module(
            "django.db",
            connection=SimpleNamespace(cursor=ours.cursor, connection=ours),
            transaction=SimpleNamespace(atomic=atomic),
        )
        names: dict[str, Any] = {}
        run(blocks("test: django")[0], names)
        await asyncio.to_thread(names["signup"], "ada@example.com")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await asyncio.to_thread(names["signup"], "ada@example.com")
        await asyncio.to_thread(names["queue"].close)
    async with connected(database_url) as connection:
        assert await connection.fetchval("select count(*) from account") == 1
        assert await connection.fetchval("select count(*) from dataqueue.job") == 1
