"""Answering what the process of an isolated job asks of the job's `Work`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from dataqueue.domain.job import Note
from dataqueue.errors import DataQueueError
from dataqueue.work import Work
from workers.isolation.messages import (
    Answer,
    Call,
    FromWorker,
    Noted,
    Prolonged,
    Raised,
    ReadCallbackUrl,
    ReadSteps,
    ReadToken,
    SaveStep,
    raised,
)

log = structlog.get_logger(__name__)


class ServedWork:
    """Several calls may be under way at a time; `send` takes the answers."""

    def __init__(self, work: Work, send: Callable[[FromWorker], None]) -> None:
        self._work, self._send = work, send
        self._under_way: set[asyncio.Task[None]] = set()

    def take(self, message: Call | Noted | Prolonged) -> None:
        match message:
            case Noted(note):
                self._work.note(note)
            case Prolonged(ms):
                self._work.note(Note(prolonged_ms=ms))
            case _:
                task = asyncio.get_running_loop().create_task(self._serve(message))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    def close(self) -> None:
        """Nobody hears the answers any more."""
        for task in self._under_way:
            task.cancel()

    async def _serve(self, call: Call) -> None:
        self._send(await self._answer(call))

    async def _answer(self, call: Call) -> Answer | Raised:
        try:
            return Answer(call.n, await self._value_of(call))
        except DataQueueError as error:
            return raised(call.n, error)
        except Exception as error:
            log.exception("isolation.call_failed", call=type(call).__name__)
            return raised(call.n, error)

    async def _value_of(self, call: Call) -> Any:
        match call:
            case ReadSteps():
                return tuple(await self._work.steps())
            case SaveStep(step=step):
                return await self._work.save_step(step)
            case ReadToken(token_id=token_id):
                return await self._work.token(token_id)
            case ReadCallbackUrl(token_id=token_id):
                return await self._work.callback_url(token_id)
