"""Things to keep doing, in whatever process: one duty, one tick at a time, through every outage."""

from __future__ import annotations

import asyncio
import random
from typing import Final, Protocol

import structlog

from dataqueue.errors import DataQueueError, StorageNotReady, StorageUnavailable
from dataqueue.storage.port import Storage, Upkeep

log = structlog.get_logger(__name__)

_LOOK_AT_EVENT_LOG: Final = 3600.0
_LOOK_FOR_RISKS: Final = 3600.0
_ASK_AGAIN: Final = 5.0
_JITTER: Final = 0.2
_FIRST_RETRY, _LAST_RETRY = 0.1, 2.0  # short, for an expired lease is to be seen soon after an outage


class Duty(Protocol):
    """One thing to keep doing."""

    async def tick(self) -> float:
        """Do it once; the seconds until it is to be done again."""
        ...


class EventLogKeeper:
    """Makes room for the events of the coming days."""

    def __init__(self, *, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    async def tick(self) -> float:
        await self._upkeep.prepare_event_log()
        return jittered(_LOOK_AT_EVENT_LOG)


class RiskTeller:
    """Warns of what may make the storage lose jobs: of each thing once, as soon as the storage can be asked."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._told: set[str] = set()

    async def tick(self) -> float:
        try:
            risks = await self._storage.check()
        except (StorageUnavailable, StorageNotReady):
            return jittered(_ASK_AGAIN)  # others tell of that
        for risk in risks:
            if risk not in self._told:
                log.warning("storage.risk", risk=risk)
        self._told = set(risks)
        return jittered(_LOOK_FOR_RISKS)


async def keep_doing(duty: Duty, stop: asyncio.Event) -> None:
    """Tick until told to stop; after an error sooner or later again, and one line in the log for each outage."""
    name, failures = type(duty).__name__.lower(), 0
    while not stop.is_set():
        try:
            pause = await duty.tick()
        # The loop that drives a duty outlives whatever it meets.
        except Exception as error:
            failures += 1
            pause = _retry_pause(failures)
            if failures == 1:
                # An outage is told in a line; what we did not foresee, with its traceback.
                unforeseen = None if isinstance(error, DataQueueError) else error
                log.warning("maintenance.failing", duty=name, error=str(error), exc_info=unforeseen)
        else:
            if failures:
                log.info("maintenance.recovered", duty=name, failures=failures)
            failures = 0
        await _sleep(pause, stop)


def jittered(seconds: float) -> float:
    """About as long: processes that started together drift apart."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)


def _retry_pause(failures: int) -> float:
    return random.uniform(_FIRST_RETRY, min(_FIRST_RETRY * 2.0 ** min(failures, 10), _LAST_RETRY))


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
