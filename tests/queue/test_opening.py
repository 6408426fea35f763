"""What a queue is opened with, and what is left when it is closed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from dataqueue.errors import Invalid
from dataqueue.queue import Queue
from dataqueue.queue_opening import log_as_the_host_does
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import LISTENING, Hint, Storage
from tests.storage.given import NAMESPACE, eventually


async def test_it_takes_its_settings_from_the_environment(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAQUEUE_URL", storage_url)
    monkeypatch.setenv("DATAQUEUE_MAX_PAYLOAD_BYTES", "64")
    async with Queue.open() as queue:
        assert queue.namespace == "default"
        await queue.add_job("mail", "x" * 62)
        with pytest.raises(Invalid, match="limit of 64"):
            await queue.add_job("mail", "x" * 63)


async def test_what_is_said_counts_more_than_the_environment(
    storage_url: str, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAQUEUE_URL", nowhere)
    monkeypatch.setenv("DATAQUEUE_NAMESPACE", "elsewhere")
    async with Queue.open(storage_url, namespace=NAMESPACE) as queue:
        assert (await queue.add_job("mail")).created
    async with Queue(settings=WorkerSettings(namespace="third"), storage=None, url=storage_url) as queue:
        assert queue.namespace == "third"


async def test_the_embedded_server_starts_and_stops_beside_the_loop(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at: list[tuple[str, int]] = []

    @contextmanager
    def given(settings: WorkerSettings) -> Iterator[str]:
        assert settings.url is None
        at.append(("started", threading.get_ident()))
        yield storage_url
        at.append(("stopped", threading.get_ident()))

    monkeypatch.setattr("dataqueue.queue_opening.storage_url", given)
    monkeypatch.delenv("DATAQUEUE_URL", raising=False)
    async with Queue.open() as queue:
        assert (await queue.add_job("mail")).created
        assert [what for what, _ in at] == ["started"]
    assert [what for what, _ in at] == ["started", "stopped"]
    assert threading.get_ident() not in {thread for _, thread in at}


async def test_closing_stops_what_it_runs_and_closing_again_is_nothing(storage_url: str) -> None:
    queue = Queue(storage_url)
    running = asyncio.Event()

    async def endless() -> None:
        running.set()
        await asyncio.Event().wait()

    processor, supervisor = queue.create_processor({"endless": endless}), queue.create_supervisor()
    processor.start_in_background()
    supervisor.start_in_background()
    job_id = (await queue.add_job("endless")).id
    await running.wait()
    await queue.close()
    await queue.close()
    assert (processor.is_running, supervisor.is_running) == (False, False)
    async with Queue(storage_url) as another:
        job = await another.get_job(job_id)
        assert (job.status, job.attempts) == ("pending", 0)


async def test_listeners_hear_the_last_events_and_one_that_hangs_holds_nothing_up(storage_url: str) -> None:
    heard: list[str] = []

    async def dawdle(event: object) -> None:
        await asyncio.to_thread(threading.Event().wait, 0.05)
        heard.append("slowly")

    async def hang(event: object) -> None:
        await asyncio.Event().wait()

    async with Queue(storage_url) as queue:
        queue.on("job:added", dawdle)
        await queue.add_job("mail")
    assert heard == ["slowly"]
    loop = asyncio.get_running_loop()
    async with Queue(storage_url) as queue:
        queue.on("job:added", hang)
        await queue.add_job("mail")
        began = loop.time()
    assert loop.time() - began < 5


async def test_a_storage_that_was_handed_in_stays_open(live_storage: Storage) -> None:
    async with Queue(storage=live_storage) as queue:
        job_id = (await queue.add_job("mail")).id
    assert (await live_storage.jobs(NAMESPACE).get(job_id)).job_type == "mail"


async def test_whoever_waits_for_work_is_woken_when_it_is_changed(queue: Queue, live_storage: Storage) -> None:
    hints: list[tuple[str, tuple[str, ...]]] = []

    async def listen() -> None:
        async with live_storage.notifier.listen() as heard:
            async for hint in heard:
                hear(hint)

    def hear(hint: Hint) -> None:
        if hint == LISTENING:
            listening.set()
        else:
            hints.append((hint.kind, hint.names))

    async def told(kind: str) -> None:
        async def look() -> bool | None:
            return True if hints else None

        await eventually(f"{kind} is told", look)
        assert hints == [(kind, ("mail",))]
        hints.clear()

    listening = asyncio.Event()
    listener = asyncio.create_task(listen())
    await listening.wait()
    job_id = (await queue.add_job("mail", delay=60)).id
    await queue.edit_job(job_id, run_at=None)
    await told("ready")
    await queue.cancel_job(job_id)
    await told("ended")
    await queue.retry_job(job_id)
    await told("ready")
    listener.cancel()


def test_lines_go_where_the_program_logs(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    try:
        log_as_the_host_does()
        log = structlog.get_logger("dataqueue.somewhere")
        with caplog.at_level(logging.INFO, logger="dataqueue"):
            log.info("worker.started", worker_id="ann")
            log.debug("not this")
    finally:
        structlog.reset_defaults()
    assert [(record.name, record.message) for record in caplog.records] == [
        ("dataqueue.somewhere", "event='worker.started' worker_id='ann'")
    ]
    assert capsys.readouterr().out == ""


def test_a_program_that_has_set_structlog_up_is_left_alone() -> None:
    structlog.reset_defaults()
    try:
        structlog.configure(processors=[])
        log_as_the_host_does()
        assert structlog.get_config()["processors"] == []
    finally:
        structlog.reset_defaults()
