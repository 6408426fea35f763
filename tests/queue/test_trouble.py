"""What goes wrong around the handlers, and how it is told: as `queue:error`, and to `on_error`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from dataqueue.errors import StorageRefused, StorageUnavailable
from dataqueue.handlers import HandlerRegistry
from dataqueue.queue import Queue
from dataqueue.queue_events import ErrorEvent
from dataqueue.storage.port import Storage
from tests.processing.a_worker import Meddled
from tests.queue.test_batches import queue_on
from tests.storage.given import eventually

OUTAGE = StorageUnavailable("it is away")


def once(error: Exception, before: dict[str, Any], verb: str) -> Callable[[], Awaitable[None]]:
    """Raises once, and is taken away."""

    async def fail() -> None:
        del before[verb]
        raise error

    return fail


class Told:
    """Both ways of hearing of errors."""

    def __init__(self, queue: Queue) -> None:
        self.events: list[ErrorEvent] = []
        self.errors: list[BaseException] = []
        queue.on("error", self.events.append)

    async def on_error(self, error: BaseException) -> None:
        await asyncio.sleep(0)
        self.errors.append(error)

    async def wait_for(self, *sources: str) -> None:
        async def look() -> bool | None:
            return True if len(self.events) >= len(sources) and len(self.errors) >= len(sources) else None

        await eventually(f"{sources} are told", look)
        assert [event.source for event in self.events] == list(sources)
        assert [event.error for event in self.events] == self.errors


async def ended(queue: Queue) -> list[str]:
    async def look() -> list[str] | None:
        jobs = (await queue.get_jobs()).jobs
        return [job.status for job in jobs] if all(job.status.is_terminal for job in jobs) else None

    return await eventually("all have ended", look)


@pytest.mark.parametrize(
    ("verb", "error", "source", "status"),
    [
        ("claim", OUTAGE, "claiming", "completed"),
        ("complete", OUTAGE, "reporting", "completed"),
        ("complete", StorageRefused("not that"), "reporting", "failed"),
    ],
    ids=["claim", "complete", "refused"],
)
async def test_an_outage_is_told_once_and_sat_out(
    *, verb: str, error: Exception, source: str, status: str, live_storage: Storage, storage_url: str
) -> None:
    before: dict[str, Any] = {}
    before[verb] = once(error, before, verb)
    async with queue_on(Meddled(live_storage, before), storage_url) as queue:
        told = Told(queue)
        processor = queue.create_processor({"mail": lambda: None}, poll_interval=0.05, on_error=told.on_error)
        processor.start_in_background()
        await queue.add_job("mail")
        await told.wait_for(source)
        assert await ended(queue) == [status]
        assert told.errors == [error]


async def test_a_start_that_fails_raises_and_is_told_both_ways(nowhere: str) -> None:
    async with Queue(nowhere) as queue:
        told = Told(queue)
        processor = queue.create_processor({"mail": lambda: None}, on_error=told.on_error)
        with pytest.raises(StorageUnavailable) as raised:
            await processor.start()
        await told.wait_for("processing")
        assert told.errors == [raised.value]


async def test_a_processor_that_cannot_start_is_told_and_tries_again(queue: Queue) -> None:
    registry = HandlerRegistry()
    registry.handler("mail")(lambda: None)
    failures = [RuntimeError("not yet"), RuntimeError("nor now")]

    @registry.on_startup
    def fail_twice() -> None:
        if failures:
            raise failures.pop(0)

    told = Told(queue)
    await queue.add_job("mail")
    queue.create_processor(registry, on_error=told.on_error).start_in_background()
    await told.wait_for("processing", "processing")
    assert await ended(queue) == ["completed"]


async def test_a_callback_that_fails_or_hangs_harms_nobody(queue: Queue) -> None:
    told = Told(queue)

    def fail(error: BaseException) -> None:
        raise LookupError("in the callback")

    async def hang(error: BaseException) -> None:
        await asyncio.Event().wait()

    registry = HandlerRegistry()
    registry.handler("mail")(lambda: None)

    @registry.on_startup
    def refuse() -> None:
        raise RuntimeError("never")

    for on_error in (fail, hang):
        with pytest.raises(RuntimeError, match="never"):
            await queue.create_processor(registry, on_error=on_error).start()

    async def look() -> bool | None:
        return True if len(told.events) == 3 else None

    await eventually("all are told", look)
    assert sorted(event.source for event in told.events) == ["listener of on_error", "processing", "processing"]


async def test_an_error_that_nobody_listens_for_is_in_the_log(queue: Queue) -> None:
    def fail(event: Any) -> None:
        raise LookupError("in the listener")

    queue.on("job:added", fail)
    with capture_logs() as lines:
        await queue.add_job("mail")
        await queue.close()
    assert [line["error"] for line in lines if line["event"] == "listener.failed"] == ["LookupError: in the listener"]
